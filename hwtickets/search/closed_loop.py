"""The loop that closes: draw, export, measure on the device, correct the calibration, draw again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from hwtickets.search.draw import Drawer
from hwtickets.sparsity.allocation import Allocation

#: After a miss the next draws aim at this share of what would have just been enough.
_MARGIN = 0.995


@dataclass(frozen=True)
class Draw:
    """One turn of the loop.

    Attributes:
        index: Number of the draw, from 1.
        predicted_ms: Latency predicted with the calibration that it was drawn under.
        measured_ms: Latency that the device showed.
        limit_ms: The budget; less of it after a network that was handed over has missed it.
        accepted: Whether the budget is kept and not more than the tolerance is left unused.
    """

    index: int
    predicted_ms: float
    measured_ms: float
    limit_ms: float
    accepted: bool

    @property
    def kept(self) -> bool:
        """Whether the budget is kept."""
        return self.measured_ms <= self.limit_ms

    def as_dict(self) -> dict[str, float | bool]:
        """The fields, JSON-able."""
        return asdict(self)


@dataclass(eq=False)
class _Turn:
    """A draw, its network, what the table alone predicts of that, and what that showed last."""

    draw: Draw
    network: Allocation
    plain_ms: float
    measured_ms: float


class ClosedLoop:
    """Draws until the budget holds on the device; goes on from what it saw if it does not hold in the end.

    Args:
        drawer: Draws by prices whose latencies are corrected as far as is known.
        limits: Budgets by metric; "latency" in ms must be among them.
        measure: Exports and measures a drawn network, given the number of the draw: latency in ms.
        report: Called with every draw.
        max_draws: Draws at most, in all.
        tolerance: Share of the budget that may stay unused.
    """

    def __init__(
        self,
        drawer: Drawer,
        limits: Mapping[str, float],
        measure: Callable[[int, Allocation], float],
        report: Callable[[Draw], None],
        max_draws: int = 5,
        tolerance: float = 0.03,
    ) -> None:
        self._drawer, self._limits = drawer, limits
        self._measure, self._report = measure, report
        self._left, self._tolerance = max_draws, tolerance
        self._limit_ms, self._correction, self._aim = limits["latency"], 1.0, 1 - tolerance / 2
        self._turns: list[_Turn] = []
        self._handed_over: list[_Turn] = []

    def next(self) -> Allocation | None:
        """Draws until there is a network to hand over.

        Returns:
            The one that is accepted; else the largest that keeps the budget; else, if none was handed over
            before, the nearest. None: there is nothing that was not handed over before.
        """
        turn = self._accepted() or self._best()
        if turn is None:
            return None
        self._handed_over.append(turn)
        return turn.network

    def missed(self, measured_ms: float) -> None:
        """Learns what the network that was handed over last showed in the end; draws that follow aim lower.

        Args:
            measured_ms: Its latency, of as many runs as a verdict takes.
        """
        turn = self._handed_over[-1]
        turn.measured_ms = measured_ms
        if measured_ms > self._limit_ms:
            self._limit_ms *= _MARGIN * self._limit_ms / measured_ms

    def _accepted(self) -> _Turn | None:
        while self._left > 0:
            self._left -= 1
            self._correction = self._between(self._aim * self._limit_ms)
            network = self._drawer(self._correction, {**self._limits, "latency": self._aim * self._limit_ms})
            seen = next((turn for turn in self._turns if _alike(turn.network, network)), None)
            if seen is None:
                turn = self._measured(network)
                if turn.draw.accepted:
                    return turn
            elif seen.measured_ms > self._limit_ms:
                # The same network again although it was over: ask for less by as much as it was over.
                self._aim *= self._limit_ms / seen.measured_ms
            else:
                return None
        return None

    def _measured(self, network: Allocation) -> _Turn:
        limit_ms, predicted_ms = self._limit_ms, network.costs["latency"]
        measured_ms = self._measure(len(self._turns) + 1, network)
        accepted = (1 - self._tolerance) * limit_ms <= measured_ms <= limit_ms
        draw = Draw(len(self._turns) + 1, predicted_ms, measured_ms, limit_ms, accepted)
        turn = _Turn(draw, network, predicted_ms / self._correction, measured_ms)
        self._turns.append(turn)
        self._report(turn.draw)
        self._correction *= measured_ms / predicted_ms
        return turn

    def _between(self, goal_ms: float) -> float:
        """The correction that the last measurement gives, or one between what is known on both sides.

        Nothing dearer than a network that was too slow is asked for again, nor less than one that was fast
        enough: where predictions are off by different factors, draws would swing from one side to the other.
        """
        within = [turn for turn in self._turns if turn.measured_ms <= self._limit_ms]
        over = [turn for turn in self._turns if turn.measured_ms > self._limit_ms]
        if not within or not over:
            return self._correction
        low, high = max(within, key=lambda turn: turn.plain_ms), min(over, key=lambda turn: turn.plain_ms)
        if not low.plain_ms < high.plain_ms or low.plain_ms < goal_ms / self._correction < high.plain_ms:
            return self._correction
        share = (goal_ms - low.measured_ms) / (high.measured_ms - low.measured_ms)
        share = min(0.9, max(0.1, share))
        return goal_ms / (low.plain_ms + share * (high.plain_ms - low.plain_ms))

    def _best(self) -> _Turn | None:
        new = [turn for turn in self._turns if turn not in self._handed_over]
        kept = [turn for turn in new if turn.measured_ms <= self._limit_ms]
        if kept:
            return max(kept, key=lambda turn: turn.measured_ms)
        return None if self._handed_over else min(new, key=lambda turn: turn.measured_ms)


def _alike(one: Allocation, other: Allocation) -> bool:
    return (one.widths, one.precisions) == (other.widths, other.precisions)
