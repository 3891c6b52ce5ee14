"""Who has the board."""

import contextlib
import fcntl
import json
import os
import signal
import time

from hwt_files import read_text
from hwt_refused import Refused

HARD_EXIT_S = 8
#: An agent whose client was killed just now needs a moment to notice.
LOCK_PATIENCE_S = 4


class Lock:
    """One client at a time. The system frees the lock when its process ends, however it ends."""

    def __init__(self, path):
        self._path, self._file = path, None

    def holder(self):
        """Who has the board now, and who died having it; None where nobody does or did."""
        with open(self._path, "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return self._read(file) or {}, None
            return None, self._read(file)

    def take(self, client):
        """Takes the board, from its own client's earlier agent if need be."""
        self._file = open(self._path, "a+")  # noqa: SIM115, it stays open as long as the board is held
        begin_s = time.monotonic()
        while not self._locked():
            other = self._read(self._file) or {}
            own = other.get("token") == client["token"]
            if time.monotonic() - begin_s > (HARD_EXIT_S + 2 if own else LOCK_PATIENCE_S):
                hint = "wait for it, or end it on the board: kill {}".format(other.get("pid"))
                raise Refused("locked", self._refusal(other), hint)
            if own:
                # The client's agent of before, which has not noticed that the connection is gone.
                end_agent(other.get("pid"))
            time.sleep(0.1)
        self._file.truncate(0)
        json.dump({**client, "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}, self._file)
        self._file.flush()

    def release(self):
        """Gives the board back; an emptied file tells the next that nobody died."""
        if self._file:
            self._file.truncate(0)
            self._file.close()

    def _locked(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _refusal(self, other):
        return "in use by {} since {}".format(
            other.get("label", "another client"), other.get("since", "just now")
        )

    def _read(self, file):
        file.seek(0)
        try:
            return json.loads(file.read())
        except ValueError:
            return None


def end_agent(pid):
    """Asks another agent to end; a process that is none is left alone."""
    command = read_text(f"/proc/{pid}/cmdline", root="/") or ""
    if "hwtickets-agent" in command:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)
