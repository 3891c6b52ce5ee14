"""What the agent's parts say no with."""

import errno

from hwt_write import NO_ROOM


class Refused(Exception):  # noqa: N818
    """A request that cannot be met: its kind, what is wrong and what to do."""

    def __init__(self, code, error, hint=""):
        super().__init__(error)
        self.code, self.error, self.hint = code, error, hint


def first_line(error):
    """The first line of an error's text."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def system_failure(error):
    """Code, text and hint for an error of the system."""
    reason = "{}: {}".format(error.strerror or first_line(error), error.filename or "")
    if error.errno in NO_ROOM:
        return ("space", "no space left ({})".format(reason.rstrip(": ")), "free some space on the board")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        hint = "make it writable for you, or name another folder there: HWTICKETS_AGENT_CACHE"
        return ("failed", "cannot write ({})".format(reason.rstrip(": ")), hint)
    return ("failed", reason.rstrip(": "), "look at dmesg on the board")
