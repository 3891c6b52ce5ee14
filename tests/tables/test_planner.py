from __future__ import annotations

import numpy as np
import pytest

from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.observations import Measured, Observations, count_operators
from hwtickets.tables.planner import Batch, Planner, batch_errors, verdict
from hwtickets.tables.regression import Regression
from hwtickets.tables.sampling import Space, corner_networks, sampled_networks

_FIRST, _MOST, _BATCH = 12, 72, 6


def _true_ms(graph: OperatorGraph) -> float:
    return 0.005 + sum(0.001 + op.spec.macs / (2.5e7 if op.spec.depthwise else 1e8) for op in graph)


@pytest.fixture(scope="module")
def pool(space: Space) -> list[OperatorGraph]:
    return [*corner_networks(space), *sampled_networks(space, 8, 150, seed=0)]


@pytest.fixture(scope="module")
def sample(space: Space) -> list[OperatorGraph]:
    return sampled_networks(space, 8, 60, seed=1)


def _run(
    pool: list[OperatorGraph], sample: list[OperatorGraph], noise: float
) -> tuple[list[Batch], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    random = np.random.default_rng(0)
    latency_ms = np.array([_true_ms(graph) * (1 + noise * random.standard_normal()) for graph in pool])
    planner = Planner(pool, sample, {}, _FIRST, _MOST, _BATCH)
    batches = [planner.first()]
    while not batches[-1].verdict:
        places = [place for batch in batches for place in batch.networks]
        batches.append(planner.next(batches, latency_ms[places]))
    return batches, latency_ms


def test_measuring_stops_once_predictions_are_accurate(
    pool: list[OperatorGraph], sample: list[OperatorGraph]
) -> None:
    batches, latency_ms = _run(pool, sample, noise=0.002)
    assert batches[-1].verdict == "accurate" and not batches[-1].networks
    places = [place for batch in batches for place in batch.networks]
    assert len(places) == len(set(places)) < _MOST
    recent = np.concatenate(batch_errors(batches[:-1], latency_ms[places])[-3:])
    assert np.median(recent) <= 0.01


def test_measuring_stops_where_a_noisy_device_gets_no_better(
    pool: list[OperatorGraph], sample: list[OperatorGraph]
) -> None:
    batches, _ = _run(pool, sample, noise=0.15)
    assert batches[-1].verdict in ("no longer improving", "most networks")
    assert sum(len(batch.networks) for batch in batches) > _FIRST + 3 * _BATCH


def test_no_more_than_allowed_is_measured(pool: list[OperatorGraph], sample: list[OperatorGraph]) -> None:
    planner = Planner(pool, sample, {}, _FIRST, _FIRST + 4, _BATCH)
    latency_ms = np.array([_true_ms(graph) for graph in pool])
    second = planner.next([planner.first()], latency_ms[:_FIRST])
    assert len(second.networks) == 4
    places = [*range(_FIRST), *second.networks]
    last = planner.next([planner.first(), second], latency_ms[places])
    assert last == Batch([], [], "most networks")


def test_the_chosen_networks_tell_more_than_random_ones(
    pool: list[OperatorGraph], sample: list[OperatorGraph]
) -> None:
    latency_ms = np.array([_true_ms(graph) for graph in pool])
    planner = Planner(pool, sample, {}, _FIRST, _MOST, _BATCH)
    chosen = planner.next([planner.first()], latency_ms[:_FIRST]).networks
    specs = list(dict.fromkeys(op.spec for graph in [*pool, *sample] for op in graph))
    random = np.random.default_rng(1)
    others = [random.permutation(np.arange(_FIRST, len(pool)))[:_BATCH].tolist() for _ in range(10)]
    doubts = [
        _doubt([*range(_FIRST), *places], pool, sample, specs, latency_ms) for places in [chosen, *others]
    ]
    assert doubts[0] < np.median(doubts[1:])


def _doubt(
    places: list[int],
    pool: list[OperatorGraph],
    sample: list[OperatorGraph],
    specs: list[OperatorSpec],
    latency_ms: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> float:
    networks = [Measured(pool[place], float(latency_ms[place])) for place in places]
    regression = Regression(Observations(networks, {}, specs), specs)
    return float(np.diag(regression.doubt(count_operators(sample, specs))).mean())


def test_errors_are_those_of_predictions_made_before() -> None:
    batches = [Batch([0, 1], []), Batch([2, 3], [1.0, 3.0]), Batch([4], [2.0])]
    errors = batch_errors(batches, np.array([9.0, 9.0, 2.0, 4.0, 2.0]))
    assert [error.tolist() for error in errors] == [[0.5, 0.25], [0.0]]


def _batches(errors: list[float]) -> tuple[list[Batch], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """One batch of ten networks for each error, all networks of 1 ms."""
    batches = [Batch(list(range(10)), [])]
    batches += [Batch(list(range(10)), [1.0 + error] * 10) for error in errors]
    return batches, np.ones(10 * len(batches))


@pytest.mark.parametrize(
    ("errors", "noise", "expected"),
    [
        ([0.005, 0.005], 0.005, None),
        ([0.005, 0.005, 0.005], 0.005, "accurate"),
        ([0.04, 0.012, 0.012, 0.012], 0.005, None),
        ([0.04, 0.012, 0.012, 0.012], 0.02, "accurate"),
        ([0.04, 0.04, 0.04, 0.03, 0.03, 0.03], 0.01, None),
        ([0.04, 0.04, 0.04, 0.038, 0.038, 0.038], 0.01, "no longer improving"),
        ([0.04] * 9, 0.01, "no longer improving"),
    ],
)
def test_when_it_is_enough(errors: list[float], noise: float, expected: str | None) -> None:
    batches, latency_ms = _batches(errors)
    assert verdict(batches, latency_ms, noise, most=1000) == expected


def test_one_bad_network_in_ten_is_not_accurate() -> None:
    batches, latency_ms = _batches([0.005] * 3)
    for batch in batches[1:]:
        batch.predicted_ms[0] = batch.predicted_ms[1] = 1.2
    assert verdict(batches, latency_ms, 0.005, most=1000) is None
    assert verdict(batches, latency_ms, 0.005, most=40) == "most networks"
