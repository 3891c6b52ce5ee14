"""NVIDIA's tegrastats: the power that it prints, for boards whose sysfs is closed to us."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from hwtickets.errors import DeviceError
from hwtickets.power.meter import EnergySample, Reading, sampled
from hwtickets.power.rails import whole_module

_INTERVAL_MS = 100
_PATIENCE_S = 5.0
#: "VDD_IN 4600mW/4500mW", on JetPack 4 "POM_5V_IN 1600/1550": now and on average. Memory ("RAM 2000/7000MB")
#: ends in another unit.
_POWER = re.compile(r"(?<!\S)([A-Z]\w*) (\d+)(?:mW)?/\d+(?:mW)?(?!\S)", re.ASCII)


def parse_line(line: str) -> dict[str, float]:
    """The present power of every rail in a line of tegrastats, in mW; empty where it has none."""
    return {name: float(now_mw) for name, now_mw in _POWER.findall(line)}


class TegrastatsMeter:
    """Energy of the whole module.

    Args:
        command: The program and its arguments, without the interval.
    """

    name = "tegrastats"

    def __init__(self, command: Sequence[str] = ("tegrastats",)) -> None:
        self._command = list(command)

    def available(self) -> str | None:
        """None if tegrastats prints the power of the whole module, else why not."""
        if shutil.which(self._command[0]) is None:
            return f"there is no program '{self._command[0]}'"
        try:
            with _Lines(self._command) as lines:
                lines.wait(1)
        except DeviceError as error:
            return str(error)
        return None

    def measure(self, work: Callable[[], object]) -> EnergySample:
        """Energy of the module while `work` runs.

        Raises:
            DeviceError: tegrastats is missing, ends, or prints no power.
        """
        with _Lines(self._command) as lines:
            lines.wait(1)
            begin_s = time.perf_counter()
            work()
            end_s = time.perf_counter()
            lines.wait(len(lines.readings) + 1)
            readings = list(lines.readings)
        return sampled(readings, begin_s, end_s, f"tegrastats {' + '.join(lines.rails)}")


class _Lines:
    """A running tegrastats; a thread turns its lines into readings of the whole module.

    Raises:
        DeviceError: It cannot be started.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.readings: list[Reading] = []
        self.rails: tuple[str, ...] = ()
        self._last_line = ""
        self._command = [*command, "--interval", str(_INTERVAL_MS)]

    def __enter__(self) -> _Lines:
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as error:
            raise DeviceError(f"{self._command[0]} cannot be started: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._read, name="tegrastats", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def wait(self, count: int) -> None:
        """Waits until there are `count` readings.

        Raises:
            DeviceError: They do not come.
        """
        limit_s = time.perf_counter() + _PATIENCE_S
        while len(self.readings) < count:
            ended = not self._thread.is_alive() and len(self.readings) < count
            if ended or time.perf_counter() > limit_s:
                shown = f" (its last line: '{self._last_line[:60]}')" if self._last_line else ""
                raise DeviceError(f"{self._command[0]} prints no power of the module{shown}")
            time.sleep(_INTERVAL_MS / 10_000)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._last_line = line.decode("utf-8", "replace").strip()
            powers = parse_line(self._last_line)
            self.rails = whole_module(powers)
            if self.rails:
                self.readings.append((time.perf_counter(), sum(powers[name] for name in self.rails)))
