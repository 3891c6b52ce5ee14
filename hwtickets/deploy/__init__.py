"""From a ticket to something that runs on a device, and the proof that it computes the same."""
