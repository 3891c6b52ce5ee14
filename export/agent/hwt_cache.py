"""Models and engines that the agent keeps on the board's disk."""

import contextlib
import hashlib
import os
import re
import shutil

from hwt_files import read_bytes
from hwt_refused import Refused


class Cache:
    """Models and engines on the board's disk, the longest unused deleted first."""

    def __init__(self):
        home = os.environ.get("HWTICKETS_AGENT_CACHE") or os.path.join(
            os.path.expanduser("~"), ".cache", "hwtickets-agent"
        )
        self.folder, self.limit_bytes, self.pinned = home, 512000000, set()
        for name in ("models", "plans"):
            os.makedirs(os.path.join(home, name), mode=0o700, exist_ok=True)

    def path(self, *parts):
        """A path in the cache."""
        return os.path.join(self.folder, *parts)

    def get(self, sha256):
        """The file of this content."""
        path = self._model(sha256)
        if not os.path.exists(path):
            raise Refused(
                "missing", "the cache is too small for what is measured at once", "make room on the board"
            )
        os.utime(path)
        self.pinned.add(path)
        return path

    def plan(self, name):
        """The path of an engine, whether it is there or not."""
        path = self.path("plans", checked_hash(name))
        if os.path.exists(path):
            os.utime(path)
        self.pinned.add(path)
        return path

    def put(self, sha256, size, offset, data):
        """Adds a piece at `offset` (None: only asks); answers how many bytes are there."""
        path = self._model(sha256)
        if os.path.exists(path):
            self.get(sha256)
            return size
        part = path + ".part"
        have = os.path.getsize(part) if os.path.exists(part) else 0
        if 0 < size <= have:
            # Of an agent that was killed after the last piece; what a power cut damaged is begun anew.
            with contextlib.suppress(Refused):
                return self._finish(part, path, sha256, size)
            have = 0
        if offset is None or offset != have:
            self.make_room(size - have)
            return have
        try:
            with open(part, "ab") as file:
                file.write(data)
                if have + len(data) >= size:
                    os.fsync(file.fileno())
        except OSError:
            # What a full disk cut off is of no use, and in the way.
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        if have + len(data) < size:
            return have + len(data)
        return self._finish(part, path, sha256, size)

    def make_room(self, size):
        """Deletes what was not used for longest, until `size` more bytes keep the limit."""
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self.folder) for name in names]
        files = sorted(
            (os.path.getmtime(path), path) for path in found if os.path.dirname(path) != self.folder
        )
        used = sum(os.path.getsize(path) for _, path in files)
        for _, path in files:
            if used + size <= self.limit_bytes:
                break
            if path not in self.pinned:
                used -= os.path.getsize(path)
                os.unlink(path)
        free = shutil.disk_usage(self.folder).free
        if used + size > self.limit_bytes or size > free:
            text = "no space for {:g} MB in {} ({:g} MB free, {:.0f} MB allowed)"
            numbers = (round(size / 1e6, 2), self.folder, round(free / 1e6, 2), self.limit_bytes / 1e6)
            raise Refused("space", text.format(*numbers), "free some space on the board")

    def _finish(self, part, path, sha256, size):
        if hashlib.sha256(read_bytes(part)).hexdigest() != sha256:
            os.unlink(part)
            raise Refused("damaged", "a file arrived damaged", "try again")
        os.replace(part, path)
        self.pinned.add(path)
        return size

    def _model(self, sha256):
        return self.path("models", checked_hash(sha256))


def checked_hash(text):
    """A content hash, which is also a file's name."""
    if not re.match(r"[0-9a-f]{64}\Z", text):
        raise Refused("request", "that is no content hash")
    return text
