"""Devices at the far end of an ssh connection: the connection, the agent there, and measuring through it."""
