"""Files that are whole or not there; for the agent and for the runners of bundles."""

import contextlib
import errno
import os

#: The disk is full, the share of it that this user may fill, or the largest file that there may be.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_bytes(path, data):
    """Writes a file; what cannot be written in full is removed, and the OSError names the file."""
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise OSError(error.errno, error.strerror, path) from None


def in_words(error):
    """An OSError in one line: the file, what is wrong, and what to do."""
    text = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
    if error.errno not in NO_ROOM:
        return text
    folder = os.path.dirname(os.path.abspath(error.filename)) if error.filename else "its folder"
    return text + "; make room in " + folder
