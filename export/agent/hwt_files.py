"""Files of the board: the system's, which tests look for below another root, and the agent's own, read."""

import glob
import hashlib
import os


def rooted(path, root=None):
    """A system path, below another root in tests."""
    return os.path.join(root or os.environ.get("HWTICKETS_AGENT_ROOT", "/"), path.lstrip("/"))


def found_in(pattern):
    """System paths that match a pattern, without the root."""
    root = rooted("")
    return ["/" + os.path.relpath(path, root) for path in sorted(glob.glob(rooted(pattern)))]


def texts(patterns):
    """The texts of the system files that match, by path."""
    found = {path: read_text(path) for pattern in patterns for path in found_in(pattern)}
    return {path: text for path, text in found.items() if text is not None}


def read_text(path, root=None):
    """The stripped text of a system file, or None."""
    try:
        with open(rooted(path, root), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def read_number(path):
    """The number in a system file, or None."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def read_bytes(path):
    """The content of a file."""
    with open(path, "rb") as file:
        return file.read()


def sized(path):
    """Size and hash of a file."""
    data = read_bytes(path)
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
