"""Where ssh goes: what may be given as a destination."""

from __future__ import annotations

import re

from hwtickets.errors import UsageError

_HOST = r"[A-Za-z0-9\[][A-Za-z0-9._:%\]-]*"
_USER = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_PLAIN = re.compile(rf"(?:{_USER}@)?{_HOST}")
_ADDRESS = re.compile(rf"ssh://(?:{_USER}@)?{_HOST}")
_MOST_CHARACTERS = 255


def checked_destination(text: str) -> str:
    """A destination as ssh takes it: `[user@]host`, a name from ~/.ssh/config, or `ssh://[user@]host[:port]`.

    Nothing that ssh would take for an option, and no password, gets through.

    Raises:
        UsageError: It is none of these.
    """
    user, at, _ = text.removeprefix("ssh://").partition("@")
    if at and ":" in user:
        raise UsageError(
            "a password does not belong into a destination; set up a key (ssh-copy-id user@host) and write"
            " --ssh user@host"
        )
    if len(text) > _MOST_CHARACTERS or not (_PLAIN.fullmatch(text) or _ADDRESS.fullmatch(text)):
        raise UsageError(
            f"'--ssh {text[:_MOST_CHARACTERS]}' is no destination; write it as user@host, or as a name from"
            " ~/.ssh/config"
        )
    return text
