from __future__ import annotations

import pytest

from hwtickets.devices.ssh.destination import checked_destination
from hwtickets.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "orin",
        "me@orin.local",
        "me@10.0.0.7",
        "me@fe80::1%eth0",
        "[::1]",
        "ssh://me@orin.local:2222",
        "a_b-c.d",
    ],
)
def test_what_ssh_takes_is_kept(text: str) -> None:
    assert checked_destination(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "-oProxyCommand=x", "me@-o", "me @orin", "orin;reboot", "orin\nx", "$(x)", "a`b`", "me@", "x" * 300],
)
def test_what_could_be_an_option_or_a_command_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no destination; write it as user@host"):
        checked_destination(text)


@pytest.mark.parametrize("text", ["me:secret@orin", "ssh://me:secret@orin:22"])
def test_a_password_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="a password does not belong into a destination") as caught:
        checked_destination(text)
    assert "secret" not in str(caught.value)
