"""What goes wrong before an agent runs, on a real ssh, and what ssh is known to print."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.loopback import Loopback
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.devices.ssh.failures import explained
from hwtickets.errors import DeviceError

Profiles = Callable[..., DeviceProfile]


def _refusal(profile: DeviceProfile) -> str:
    with pytest.raises(DeviceError) as caught:
        open_bench(profile)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4
    return str(caught.value)


def test_an_unknown_host(loopback: Loopback, make_profile: Profiles) -> None:
    text = _refusal(make_profile("nowhere.invalid"))
    assert text.startswith("device nowhere.invalid: the host nowhere.invalid is not known; check the name")


def test_a_host_without_a_server(loopback: Loopback, make_profile: Profiles) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        loopback.describe("closed", unused.getsockname()[1])
    assert "closed refuses connections; start its ssh server" in _refusal(make_profile("closed"))


def test_a_key_that_is_not_known_there(loopback: Loopback, make_profile: Profiles, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    port = loopback.ports["board"]
    loopback.describe("wrong-key", port, IdentityFile=str(tmp_path / "other"), IdentityAgent="none")
    assert "wrong-key refuses your key; install it there: ssh-copy-id" in _refusal(make_profile("wrong-key"))


def test_a_host_that_was_never_seen(loopback: Loopback, make_profile: Profiles, tmp_path: Path) -> None:
    loopback.describe("new", loopback.ports["board"], UserKnownHostsFile=str(tmp_path / "none"))
    text = _refusal(make_profile("new"))
    assert "the host key of new is not known yet; connect by hand once and compare" in text
    assert not (tmp_path / "none").exists()


def test_a_host_whose_key_has_changed(loopback: Loopback, make_profile: Profiles, tmp_path: Path) -> None:
    port = loopback.ports["board"]
    key = (loopback.folder / "client_key.pub").read_text().split()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {key[0]} {key[1]}\n")
    loopback.describe("changed", port, UserKnownHostsFile=str(tmp_path / "known"))
    text = _refusal(make_profile("changed"))
    assert "the host key of changed has changed; if the board was set up again" in text


def test_a_user_cannot_ask_for_unchecked_host_keys(
    loopback: Loopback, make_profile: Profiles, tmp_path: Path
) -> None:
    unchecked = {"UserKnownHostsFile": str(tmp_path / "none"), "StrictHostKeyChecking": "no"}
    loopback.describe("unchecked", loopback.ports["board"], **unchecked)
    assert "is not known yet" in _refusal(make_profile("unchecked"))


def test_a_host_without_python(loopback: Loopback, make_profile: Profiles) -> None:
    loopback.add("bare", {"PATH": "/nonexistent"})
    assert "python3 is missing on bare; install it there" in _refusal(make_profile("bare"))


def test_a_python_that_is_not_there(board: DeviceProfile) -> None:
    profile = board.model_copy(update={"python": "/opt/none/python3"})
    assert "there is no Python '/opt/none/python3' on board" in _refusal(profile)


@pytest.mark.parametrize(
    ("code", "printed", "start", "passing"),
    [
        (255, "ssh: connect to host orin port 22: Connection timed out", "me@orin does not answer", True),
        (255, "Connection timed out during banner exchange", "me@orin does not answer", True),
        (255, "ssh: connect to host orin port 22: No route to host", "there is no way to me@orin", True),
        (255, "Received disconnect: Too many authentication failures", "me@orin was offered too many", False),
        (255, "/c: line 1: Bad configuration option: no", "ssh does not understand its configuration", False),
        (
            255,
            "System is booting up.\nConnection closed by 1.2.3.4",
            "the connection to me@orin ended (",
            True,
        ),
        (127, "bash: line 1: python3: command not found", "python3 is missing on me@orin", False),
        (1, "hwtickets-agent: Python 3.8 or later is needed, this is 3.6.9", "Python 3.8 or later", False),
        (None, "", "the connection to me@orin ended (no reason given)", True),
    ],
)
def test_known_messages(code: int | None, printed: str, start: str, passing: bool) -> None:
    failure = explained(code, printed, "me@orin", "python3")
    assert failure.text.startswith(start)
    assert failure.passing == passing
    assert "{" not in failure.text
