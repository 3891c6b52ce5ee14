from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.recipes.drawers import by_value
from hwtickets.search.closed_loop import ClosedLoop, Draw
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import BlockChoices, PricedSpace
from hwtickets.sparsity.importance import Scores

WIDTHS = range(65)
FIXED_MS, DENSE_MS = 0.1, 0.1 + 6 * 64 * 0.01


def _space() -> tuple[PricedSpace, Scores]:
    """Six branches of 64 channels of 0.01 ms each: fine enough to come within 3 % of any budget."""
    generator = torch.Generator().manual_seed(0)
    blocks, scores = [], {}
    for number in range(6):
        widths = np.array([[width] for width in WIDTHS])
        costs = {"latency": 0.01 * widths[:, 0], "macs": 1000.0 * widths[:, 0]}
        blocks.append(BlockChoices(f"b{number}", [f"b{number}.k3"], widths, ["split"] * len(widths), costs))
        scores[f"b{number}.k3"] = torch.rand(64, generator=generator)
    return PricedSpace(blocks, {"latency": FIXED_MS, "macs": 0.0}), scores


def _true_ms(drawn: Allocation) -> float:
    return FIXED_MS + 0.01 * sum(drawn.widths.values())


class _Device:
    """Measures with a bias; remembers what it was asked."""

    def __init__(self, bias: Callable[[float], float]) -> None:
        self.bias = bias
        self.measured: list[Allocation] = []

    def __call__(self, index: int, drawn: Allocation) -> float:
        self.measured.append(drawn)
        return self.bias(_true_ms(drawn))


@dataclass(frozen=True)
class _Result:
    """What a loop draws first."""

    draws: list[Draw]
    network: Allocation

    @property
    def chosen(self) -> Draw:
        """The draw of the network."""
        predicted_ms = self.network.costs["latency"]
        return next(draw for draw in self.draws if draw.predicted_ms == predicted_ms)


def _loop(device: _Device, limit_ms: float, shown: list[Draw], **options: Any) -> ClosedLoop:
    return ClosedLoop(by_value(*_space(), "latency"), {"latency": limit_ms}, device, shown.append, **options)


def _close(device: _Device, limit_ms: float, **options: Any) -> _Result:
    shown: list[Draw] = []
    network = _loop(device, limit_ms, shown, **options).next()
    assert network is not None
    return _Result(shown, network)


@pytest.mark.parametrize("bias", [0.7, 1.3])
def test_draws_do_not_swing_past_what_was_measured(bias: float) -> None:
    limit_ms = 0.4 * DENSE_MS
    result = _close(_Device(lambda ms: bias * ms * (ms / limit_ms) ** 2), limit_ms)
    assert result.draws[-1].accepted and 2 < len(result.draws) <= 5


@pytest.mark.parametrize("bias", [0.85, 1.0, 1.15, 1.4])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.7])
def test_a_biased_device_is_learnt_within_five_draws(bias: float, share: float) -> None:
    limit_ms = share * DENSE_MS
    result = _close(_Device(lambda ms: bias * ms), limit_ms)
    assert result.chosen.accepted and result.chosen.kept
    assert 0.97 * limit_ms <= result.chosen.measured_ms <= limit_ms
    assert len(result.draws) <= 5
    assert result.chosen.measured_ms == pytest.approx(bias * _true_ms(result.network))
    first = result.draws[0]
    assert first.predicted_ms * bias == pytest.approx(first.measured_ms)
    assert [draw.index for draw in result.draws] == list(range(1, len(result.draws) + 1))


@given(scale=st.floats(0.8, 1.25), offset_ms=st.floats(0, 0.2), share=st.floats(0.25, 0.75))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_what_is_handed_over_is_what_was_measured(scale: float, offset_ms: float, share: float) -> None:
    device = _Device(lambda ms: scale * ms + offset_ms)
    result = _close(device, share * DENSE_MS)
    assert result.chosen.accepted
    assert result.chosen.measured_ms == device.bias(_true_ms(result.network))


@pytest.mark.parametrize("slow", [1.3, 3.0, 50.0])
def test_over_the_budget_everywhere_the_nearest_is_handed_over(slow: float) -> None:
    limit_ms = 1.01 * FIXED_MS
    device = _Device(lambda ms: slow * ms)
    result = _close(device, limit_ms)
    assert not result.chosen.kept and not result.chosen.accepted
    assert result.chosen.measured_ms == min(draw.measured_ms for draw in result.draws)
    assert result.network in device.measured


def test_the_same_network_is_not_measured_twice() -> None:
    """The device is jagged: whatever is drawn, it is either over the budget or far below it."""
    limit_ms = 0.5 * DENSE_MS
    device = _Device(lambda ms: 1.1 * limit_ms if ms > 0.42 * DENSE_MS else 0.9 * limit_ms)
    result = _close(device, limit_ms)
    measured = [tuple(drawn.widths.values()) for drawn in device.measured]
    assert len(measured) == len(set(measured)) <= 5
    assert result.chosen.kept and not result.chosen.accepted
    assert result.chosen.measured_ms == 0.9 * limit_ms


def test_one_draw_is_one_measurement() -> None:
    device = _Device(lambda ms: 1.5 * ms)
    result = _close(device, 0.4 * DENSE_MS, max_draws=1)
    assert len(result.draws) == len(device.measured) == 1
    assert not result.chosen.kept


def test_a_wider_tolerance_takes_the_first_draw() -> None:
    device = _Device(lambda ms: 0.8 * ms)
    assert len(_close(device, 0.4 * DENSE_MS, tolerance=0.4).draws) == 1
    assert len(_close(_Device(lambda ms: 0.8 * ms), 0.4 * DENSE_MS).draws) > 1


def test_other_budgets_hold_in_every_draw() -> None:
    drawer = by_value(*_space(), "latency")
    limits = {"latency": 0.6 * DENSE_MS, "macs": 100_000.0}
    device = _Device(lambda ms: 0.7 * ms)
    shown: list[Draw] = []
    assert ClosedLoop(drawer, limits, device, shown.append).next() is not None
    assert all(drawn.costs["macs"] <= 100_000 for drawn in device.measured)
    assert shown[-1].kept and not shown[-1].accepted, "MACs leave room in the latency"


@pytest.mark.parametrize("grown", [1.02, 1.1, 1.3])
def test_what_is_slower_in_the_end_is_drawn_again_from_what_was_learnt(grown: float) -> None:
    """Every network is slower when it is finished than when it was drawn."""
    limit_ms, shown = 0.5 * DENSE_MS, []
    device = _Device(lambda ms: 1.3 * ms)
    loop = _loop(device, limit_ms, shown)
    first = loop.next()
    assert first is not None
    draws = len(shown)
    loop.missed(grown * shown[-1].measured_ms)
    second = loop.next()
    assert second is not None
    assert grown * 1.3 * _true_ms(second) <= limit_ms
    assert len(shown) == draws + 1, "the bias of the device is not learnt anew"
    assert [draw.index for draw in shown] == list(range(1, len(shown) + 1))


def test_when_no_draw_is_left_the_next_that_kept_the_budget_is_handed_over() -> None:
    """A jagged device: nothing is accepted, and the largest that kept the budget misses it in the end."""
    limit_ms, shown = 0.5 * DENSE_MS, []
    jagged = iter([0.7, 1.2, 0.8, 1.3, 0.9])
    device = _Device(lambda ms: next(jagged) * limit_ms)
    loop = _loop(device, limit_ms, shown)
    handed = [loop.next()]
    loop.missed(1.01 * limit_ms)
    handed.append(loop.next())
    loop.missed(1.5 * limit_ms)
    handed.append(loop.next())
    measured = {id(network): draw.measured_ms for network, draw in zip(device.measured, shown, strict=True)}
    assert [measured[id(network)] / limit_ms for network in handed[:2]] == pytest.approx([0.9, 0.8])
    assert handed[2] is None, "0.7 does not keep what the second miss leaves of the budget"
    assert len(shown) == 5


def test_nothing_is_handed_over_twice() -> None:
    shown: list[Draw] = []
    loop = _loop(_Device(lambda ms: 3.0 * ms), 1.01 * FIXED_MS, shown, max_draws=2)
    assert loop.next() is not None
    loop.missed(4.0 * FIXED_MS)
    assert loop.next() is None
