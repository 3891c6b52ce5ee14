"""Progress of long work: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as LiveLine

_PLAIN_INTERVAL_S = 5.0


class Stage:
    """One stage under way; made by `Progress.stage`. This one counts and shows nothing."""

    def __init__(self, title: str, total: int | None, unit: str, done: int) -> None:
        self.title = title
        self.total = total
        self.unit = unit
        self.done = done
        self.note = ""
        self.on_advance: Callable[[], None] | None = None
        self._first = done
        self._begin_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stage began in this process."""
        return time.monotonic() - self._begin_s

    @property
    def left_s(self) -> float | None:
        """Seconds left at the pace of this process so far; None without a total or before the first step."""
        steps = self.done - self._first
        if not self.total or steps <= 0:
            return None
        return self.elapsed_s * max(0, self.total - self.done) / steps

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Counts `steps` done; `note` is shown at the end of the line ("loss 0.41")."""
        self.done += steps
        self.note = note or self.note
        self._changed()
        if self.on_advance is not None:
            self.on_advance()

    def spare(self, steps: int) -> None:
        """Takes steps off the total that are not needed after all."""
        if self.total:
            self.total -= steps
        self._changed()

    def begin(self) -> None:
        """Shows the stage for the first time."""

    def end(self, complete: bool) -> None:
        """Shows the stage for the last time."""

    def _changed(self) -> None:
        """Shows the new count."""

    @property
    def _left(self) -> str:
        return "" if self.left_s is None else f"{_clock(self.left_s)} left"


class _PlainStage(Stage):
    """A stage on lines: the first, the last, and at most one each 5 s."""

    def __init__(self, title: str, total: int | None, unit: str, done: int, stream: TextIO) -> None:
        super().__init__(title, total, unit, done)
        self._stream = stream
        self._shown_s = time.monotonic()

    def begin(self) -> None:
        print(self.title, file=self._stream, flush=True)

    def end(self, complete: bool) -> None:
        self._print(f"{'done' if complete else 'stopped'} after {_clock(self.elapsed_s)}")

    def _changed(self) -> None:
        if time.monotonic() - self._shown_s < _PLAIN_INTERVAL_S:
            return
        self._shown_s = time.monotonic()
        self._print(self._left)

    def _print(self, state: str) -> None:
        of_total = f"/{self.total}" if self.total else ""
        count = f"{self.done}{of_total} {self.unit}".rstrip() if self.done else ""
        print(
            "  ".join(part for part in (self.title, count, state, self.note) if part),
            file=self._stream,
            flush=True,
        )


class _LiveStage(Stage):
    """A stage on the live line of a terminal."""

    def __init__(self, title: str, total: int | None, unit: str, done: int, line: LiveLine) -> None:
        super().__init__(title, total, unit, done)
        self._line = line
        self._task = line.add_task(title, total=total, completed=done, left="", note="")

    def begin(self) -> None:
        self._line.start()

    def end(self, complete: bool) -> None:
        state = f"{'done' if complete else 'stopped'} after {_clock(self.elapsed_s)}"
        if complete and not self.total:
            # A complete stage without a total ends full; its bar would go on pulsing.
            self._line.update(self._task, completed=1, total=1)
        self._line.update(self._task, left=state)
        self._line.stop()
        self._line.remove_task(self._task)

    def _changed(self) -> None:
        self._line.update(self._task, completed=self.done, total=self.total, left=self._left, note=self.note)


class Progress:
    """Shows which stage of a job runs, how far it is and how long is left.

    Args:
        stages: The stages to come, in order; one that is not on the list is numbered on. Empty where nobody
            knows how many there will be.
        quiet: Show nothing.
        stream: Where to show it; standard error unless told.

    Attributes:
        on_advance: Called whenever a stage that begins from now on counts steps; None for nothing.
    """

    def __init__(self, stages: Sequence[str] = (), quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stages = list(stages)
        self._announced = bool(stages)
        self.on_advance: Callable[[], None] | None = None
        self._quiet = quiet
        self._stream = sys.stderr if stream is None else stream
        self._line = None if quiet or not self._stream.isatty() else _live_line(self._stream)

    @contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "step", done: int = 0
    ) -> Iterator[Stage]:
        """Shows the stage `name` while the block runs.

        Args:
            name: One of the stages to come, or another.
            total: How many steps it has, if that is known.
            unit: What is counted.
            done: Steps that an earlier process had made; they do not count for the pace.
        """
        stage = self._stage(self._title(name), total, unit, done)
        stage.on_advance = self.on_advance
        complete = False
        stage.begin()
        try:
            yield stage
            complete = True
        finally:
            stage.end(complete)

    def note(self, text: str) -> None:
        """Prints one line that stays ("draw 1: predicted 0.052 ms, measured 0.053 ms")."""
        if self._quiet:
            return
        if self._line is None:
            print(text, file=self._stream, flush=True)
            return
        self._line.console.print(text, markup=False, highlight=False)

    def _title(self, name: str) -> str:
        if name not in self._stages:
            self._stages.append(name)
        of_all = f"/{len(self._stages)}" if self._announced else ""
        return f"[{self._stages.index(name) + 1}{of_all}] {name}"

    def _stage(self, title: str, total: int | None, unit: str, done: int) -> Stage:
        if self._quiet:
            return Stage(title, total, unit, done)
        if self._line is None:
            return _PlainStage(title, total, unit, done, self._stream)
        return _LiveStage(title, total, unit, done, self._line)


def _live_line(stream: TextIO) -> LiveLine:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as LiveLine

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return LiveLine(*columns, console=Console(file=stream), refresh_per_second=4)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
