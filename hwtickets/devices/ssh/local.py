"""This machine as a device of the agent: TensorRT runs in a process of its own here as it does on a board."""

from __future__ import annotations


class Here:
    """The way to this machine: a shell."""

    def command(self, remote: str) -> list[str]:
        """The arguments that run `remote`, a constant text, in a shell."""
        return ["sh", "-c", remote]

    def renew(self) -> None:
        """Nothing is held between two commands."""
