"""The system's own ssh: its command lines, and the connection that several of them share."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import subprocess
import tempfile
from typing import Protocol

from hwtickets.devices.ssh.destination import checked_destination

CONNECT_LIMIT_S = 10
_ALIVE_EVERY_S = 5
_ALIVE_MISSED = 3
_KEPT_S = 60
_EXIT_LIMIT_S = 5
#: Keys are checked and nobody is asked anything, whatever the user's own configuration says.
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "ConnectTimeout": str(CONNECT_LIMIT_S),
    "ServerAliveInterval": str(_ALIVE_EVERY_S),
    "ServerAliveCountMax": str(_ALIVE_MISSED),
    "ClearAllForwardings": "yes",
    "RemoteCommand": "none",
    "ForwardAgent": "no",
    "LogLevel": "ERROR",
    "ControlMaster": "auto",
    "ControlPersist": str(_KEPT_S),
}


class Way(Protocol):
    """How commands get to where a device is."""

    def command(self, remote: str) -> list[str]:
        """The arguments that run `remote`, a constant text, in a shell there."""

    def renew(self) -> None:
        """Gives up what may be dead without knowing it."""


class Here:
    """The way to this machine: a shell. TensorRT runs in a process of its own here as it does on a board."""

    def command(self, remote: str) -> list[str]:
        """The arguments that run `remote`, a constant text, in a shell."""
        return ["sh", "-c", remote]

    def renew(self) -> None:
        """Nothing is held between two commands."""


class Control:
    """The way to one destination; made by `control_to`.

    The commands of this process share one connection, so that a jump host or a hardware key is asked once.
    """

    def __init__(self, destination: str, config: str | None) -> None:
        self._destination, self._config = checked_destination(destination), config
        # Only the user can enter it; ssh's socket in it is the connection.
        self._folder = tempfile.TemporaryDirectory(prefix="hwt-")
        self._number = 0

    def command(self, remote: str) -> list[str]:
        """The arguments that run `remote`, a constant text, in the far user's shell."""
        return [*self._ssh(), "-T", "--", self._destination, remote]

    def renew(self) -> None:
        """Gives up the shared connection, which may be dead without knowing it."""
        # Without a socket there is nothing to give up.
        if os.path.exists(self._socket):
            command = [*self._ssh(), "-O", "exit", "--", self._destination]
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_EXIT_LIMIT_S)
        self._number += 1

    def close(self) -> None:
        """Ends the shared connection."""
        self.renew()
        self._folder.cleanup()

    @property
    def _socket(self) -> str:
        return os.path.join(self._folder.name, str(self._number))

    def _ssh(self) -> list[str]:
        """The program and its options."""
        options = {**_OPTIONS, "ControlPath": self._socket}
        return [
            "ssh",
            *(["-F", self._config] if self._config else []),
            *(part for key, value in options.items() for part in ("-o", f"{key}={value}")),
        ]


def control_to(destination: str) -> Control:
    """The way to a destination; its connection ends with this process.

    $HWTICKETS_SSH_CONFIG replaces ~/.ssh/config.
    """
    return _control(destination, os.environ.get("HWTICKETS_SSH_CONFIG"))


@functools.cache
def _control(destination: str, config: str | None) -> Control:
    # By its configuration, too: the same name can be another board in another file.
    control = Control(destination, config)
    atexit.register(control.close)
    return control
