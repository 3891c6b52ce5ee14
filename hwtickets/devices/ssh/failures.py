"""What ssh says when it fails, as one line with the next step."""

from __future__ import annotations

from typing import NamedTuple

_SHELL_FOUND_NOTHING = 127
_SHELL_COULD_NOT_RUN = 126


class Failure(NamedTuple):
    """Why a connection did not come about or ended.

    Attributes:
        text: What is wrong and the next step, without the device's name.
        passing: Whether waiting can help: a reboot, a cable.
    """

    text: str
    passing: bool


#: (what ssh prints, what is wrong, the next step, whether waiting can help); the first that fits counts.
_KNOWN = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} has changed",
        "if the board was set up again, forget the old one (ssh-keygen -R {bare}) and connect once by hand",
        False,
    ),
    (
        "host key is known for",
        "the host key of {host} is not known yet",
        "connect by hand once and compare the fingerprint: ssh {host}",
        False,
    ),
    (
        "Host key verification failed",
        "the host key of {host} was refused",
        "connect by hand once and compare the fingerprint: ssh {host}",
        False,
    ),
    (
        "Permission denied (",
        "{host} refuses your key",
        "install it there: ssh-copy-id {host}; or name the right one in ~/.ssh/config (IdentityFile)",
        False,
    ),
    (
        "Too many authentication failures",
        "{host} was offered too many keys",
        "name the right one in ~/.ssh/config (IdentityFile, IdentitiesOnly yes)",
        False,
    ),
    (
        "Could not resolve hostname",
        "the host {host} is not known",
        "check the name, or describe the host in ~/.ssh/config",
        True,
    ),
    (
        "Connection refused",
        "{host} refuses connections",
        "start its ssh server (sudo systemctl start ssh), or set the right Port in ~/.ssh/config",
        True,
    ),
    ("timed out", "{host} does not answer", "is it on, and in the same network? try: ssh {host} true", True),
    ("No route to host", "there is no way to {host}", "is it on, and in the same network?", True),
    ("Network is unreachable", "there is no way to {host}", "is this machine in a network?", True),
    ("Bad configuration option", "ssh does not understand its configuration", "correct it: {last}", False),
    ("Bad owner or permissions", "ssh refuses its configuration", "correct it: {last}", False),
    (
        "Can't open user config file",
        "ssh finds no configuration",
        "set HWTICKETS_SSH_CONFIG right: {last}",
        False,
    ),
)


def explained(code: int | None, printed: str, host: str, python: str) -> Failure:
    """Says why an ssh command ended.

    Args:
        code: Its exit code; None if it had to be ended.
        printed: What it wrote to standard error.
        host: The destination.
        python: Python on the far side, as the profile names it.
    """
    last = (printed.strip().splitlines() or ["no reason given"])[-1].strip()
    bare = host.removeprefix("ssh://").rpartition("@")[2]
    for pattern, wrong, step, passing in _KNOWN:
        if pattern in printed:
            return Failure("; ".join((wrong, step)).format(host=host, bare=bare, last=last), passing)
    if "hwtickets-agent: Python" in printed:
        return Failure(
            f"{last.removeprefix('hwtickets-agent: ')}; name a newer one: devices add --python", False
        )
    if code in (_SHELL_FOUND_NOTHING, _SHELL_COULD_NOT_RUN):
        return Failure(f"python3 is missing on {host}; install it there: sudo apt install python3", False)
    if "execvp" in printed:
        return Failure(
            f"there is no Python '{python}' on {host}; name another one: hwtickets devices add --python PATH",
            False,
        )
    return Failure(f"the connection to {host} ended ({last}); try: ssh {host} true", True)
