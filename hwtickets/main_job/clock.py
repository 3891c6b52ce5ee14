"""How long the stages of a run take, over all processes that work on them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from hwtickets.errors import HwticketsError
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder

#: Key of the run's record with the seconds of stages under way; so much of them a kill may lose.
UNFINISHED, INTERVAL_S = "unfinished", 10.0


class StageClock:
    """The seconds of one stage, those of earlier processes included.

    Args:
        run: Keeps them.
        stage: Name of the stage.
        interval_s: Time between two notes in the run's record.
    """

    def __init__(self, run: RunFolder, stage: str, interval_s: float = INTERVAL_S) -> None:
        self._run, self._stage, self._interval_s = run, stage, interval_s
        self._earlier_s = float(run.read_record().get(UNFINISHED, {}).get(stage, 0.0))
        self._begin_s = self._kept_s = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self._earlier_s + time.perf_counter() - self._begin_s

    def tick(self) -> None:
        """Notes them from time to time: the process may be killed."""
        if time.perf_counter() - self._kept_s >= self._interval_s:
            self.keep()

    def keep(self) -> None:
        """Notes them."""
        self._kept_s = time.perf_counter()
        self._run.record(**{UNFINISHED: {**self._others(), self._stage: round(self.seconds, 3)}})

    def finish(self) -> None:
        """The stage is complete."""
        self._run.finish_stage(self._stage, self.seconds)
        if self._stage in self._run.read_record().get(UNFINISHED, {}):
            self._run.record(**{UNFINISHED: self._others()})

    def _others(self) -> dict[str, float]:
        known = self._run.read_record().get(UNFINISHED, {})
        return {stage: seconds for stage, seconds in known.items() if stage != self._stage}


@contextmanager
def timed(run: RunFolder, stage: str, progress: Progress) -> Iterator[None]:
    """Notes how long a stage takes; one that is done already keeps its time.

    Args:
        run: The run.
        stage: Name of the stage.
        progress: What its work reports to.
    """
    if run.stage_done(stage):
        yield
        return
    clock = StageClock(run, stage)
    progress.on_advance = clock.tick
    try:
        yield
    except BaseException:
        # What stopped the stage is what is told.
        with contextlib.suppress(HwticketsError):
            clock.keep()
        raise
    finally:
        progress.on_advance = None
    clock.finish()
