"""The loop that closes: draw, export, measure on the device, correct the calibration, draw again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from hwtickets.search.draw import Drawer
from hwtickets.sparsity.allocation import Allocation


@dataclass(frozen=True)
class Draw:
    """One turn of the loop.

    Attributes:
        index: Number of the draw, from 1.
        predicted_ms: Latency predicted with the calibration that it was drawn under.
        measured_ms: Latency that the device showed.
        limit_ms: The budget.
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


@dataclass(frozen=True)
class LoopResult:
    """How the loop ended.

    Attributes:
        draws: All turns, in order.
        chosen: The turn whose network is handed over: the accepted one, else the largest that keeps the
            budget, else the nearest.
        network: That network.
    """

    draws: list[Draw]
    chosen: Draw
    network: Allocation


def close_loop(
    drawer: Drawer,
    limits: Mapping[str, float],
    measure: Callable[[int, Allocation], float],
    report: Callable[[Draw], None],
    max_draws: int = 5,
    tolerance: float = 0.03,
) -> LoopResult:
    """Draws until the budget holds on the device.

    Args:
        drawer: Draws by prices whose latencies are corrected as far as is known.
        limits: Budgets by metric; "latency" in ms must be among them.
        measure: Exports and measures a drawn network, given the number of the draw: latency in ms.
        report: Called with every turn.
        max_draws: Turns at most.
        tolerance: Share of the budget that may stay unused.

    Returns:
        The result; `chosen.kept` is false if the budget was missed in every turn.
    """
    limit_ms = limits["latency"]
    correction, aim = 1.0, 1 - tolerance / 2
    turns: list[tuple[Draw, Allocation]] = []
    for index in range(1, max_draws + 1):
        drawn = drawer(correction, {**limits, "latency": aim * limit_ms})
        seen = next((draw for draw, network in turns if network.widths == drawn.widths), None)
        if seen is not None and seen.kept:
            break
        if seen is not None:
            # The same network again although it was over: ask for less by as much as it was over.
            aim *= limit_ms / seen.measured_ms
            continue
        measured_ms = measure(index, drawn)
        accepted = (1 - tolerance) * limit_ms <= measured_ms <= limit_ms
        draw = Draw(index, drawn.costs["latency"], measured_ms, limit_ms, accepted)
        report(draw)
        turns.append((draw, drawn))
        if accepted:
            break
        correction *= measured_ms / drawn.costs["latency"]
    return _chosen(turns)


def _chosen(turns: list[tuple[Draw, Allocation]]) -> LoopResult:
    draws = [draw for draw, _ in turns]
    kept = [turn for turn in turns if turn[0].kept]
    if kept:
        chosen = max(kept, key=lambda turn: turn[0].measured_ms)
    else:
        chosen = min(turns, key=lambda turn: turn[0].measured_ms)
    return LoopResult(draws, *chosen)
