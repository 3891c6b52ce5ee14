"""Boards that are this machine: OpenSSH servers on the loopback interface, with keys of their own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

#: Names the ssh configuration that hwtickets uses.
_VARIABLE = "HWTICKETS_SSH_CONFIG"
_START_LIMIT_S = 10.0
_END_LIMIT_S = 5.0
#: Where servers' programs are, which the PATH of an ordinary user lacks.
_SERVER_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def missing_reason() -> str | None:
    """Why there can be no such board here, or None."""
    if shutil.which("sshd", path=_SERVER_PATH) is None:
        return "there is no sshd; install it: sudo apt install openssh-server"
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        return "there is no ssh; install it: sudo apt install openssh-client"
    return None


class Loopback:
    """Boards on this machine; a context manager, within which hwtickets uses their ssh configuration.

    Attributes:
        ports: Of the boards, by name.

    Args:
        folder: For keys, settings, logs and the boards' caches.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "ssh_config"
        self.ports: dict[str, int] = {}
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._known_hosts = folder / "known_hosts"
        self._key = folder / "client_key"
        self._before: str | None = None

    def __enter__(self) -> Loopback:
        self.folder.mkdir(parents=True, exist_ok=True)
        _make_key(self._key)
        _make_key(self.folder / "host_key")
        shutil.copy(f"{self._key}.pub", self.folder / "authorized_keys")
        self._known_hosts.touch()
        self.config.touch()
        self._before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = str(self.config)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.environ.pop(_VARIABLE, None)
        if self._before is not None:
            os.environ[_VARIABLE] = self._before
        for name in list(self._servers):
            self.remove(name)

    def add(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        """Starts a board that `ssh NAME` reaches.

        Args:
            name: For ssh.
            environment: Variables of every command on the board; its cache is its own.
        """
        if os.geteuid() == 0:
            # Where sshd, started as root, separates its privileges.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        port = _free_port()
        variables = {"HWTICKETS_AGENT_CACHE": str(self.folder / f"{name}-cache"), **(environment or {})}
        settings = self.folder / f"{name}.sshd_config"
        settings.write_text(
            f"Port {port}\nListenAddress 127.0.0.1\nHostKey {self.folder / 'host_key'}\n"
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}\nPidFile none\nUsePAM no\nStrictModes no\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n"
            f"SetEnv {' '.join(f'{key}={value}' for key, value in variables.items())}\n"
        )
        program = shutil.which("sshd", path=_SERVER_PATH)
        assert program is not None, missing_reason()
        log = self.folder / f"{name}.log"
        # The server starts itself anew for every connection and so wants its full path.
        server = subprocess.Popen(
            [program, "-D", "-f", str(settings), "-E", str(log)], stdin=subprocess.DEVNULL
        )
        self._servers[name] = server
        _wait_for(port, server, log)
        host_key = (self.folder / "host_key.pub").read_text().split()
        with self._known_hosts.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {host_key[0]} {host_key[1]}\n")
        self.ports[name] = port
        self.describe(name, port)

    def remove(self, name: str) -> None:
        """Ends the server of a board; connections that it has stay."""
        server = self._servers.pop(name)
        server.terminate()
        server.wait(_END_LIMIT_S)

    def describe(self, name: str, port: int, **client: str) -> None:
        """Lets `ssh NAME` connect to a port of this machine."""
        entries = {
            "HostName": "127.0.0.1",
            "Port": str(port),
            "User": getpass.getuser(),
            "IdentityFile": str(self._key),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self._known_hosts),
            "GlobalKnownHostsFile": "/dev/null",
            **client,
        }
        with self.config.open("a") as file:
            file.write(
                "\n".join([f"Host {name}", *(f"  {key} {value}" for key, value in entries.items()), ""])
            )


@contextlib.contextmanager
def loopback_boards(folder: Path, *names: str) -> Iterator[Loopback]:
    """Boards on this machine, each with a profile that uses this Python."""
    from hwtickets.devices import DeviceProfile, get_device
    from hwtickets.devices.registry import save_profile

    with Loopback(folder) as loopback:
        for name in names:
            loopback.add(name)
            values = get_device("cpu").model_dump(exclude={"name", "connection", "host", "python"})
            save_profile(
                DeviceProfile(name=name, connection="ssh", host=name, python=sys.executable, **values)
            )
        yield loopback


def _make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    limit_s = time.monotonic() + _START_LIMIT_S
    while time.monotonic() < limit_s and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"sshd does not start: {log.read_text() if log.exists() else 'no log'}")
