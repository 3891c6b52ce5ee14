from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.sampling import Space, sampled_networks
from hwtickets.tables.table import Calibration, LatencyTable, Row, calibrated


def _depthwise(channels: int) -> OperatorSpec:
    return OperatorSpec("conv", channels, channels, 3, groups=channels, height=8, width=8)


def _depthwise_table(latencies_ms: dict[int, float]) -> LatencyTable:
    rows = {_depthwise(channels): Row(ms, 0.0, 100, 1) for channels, ms in latencies_ms.items()}
    return LatencyTable("cpu", "onnxruntime", "fp32", 1, 16, {}, rows)


def test_a_row_is_answered_as_measured(table: LatencyTable) -> None:
    spec, row = next(iter(table.rows.items()))
    answer = table.lookup(spec)
    assert (answer.ms, answer.kind) == (row.latency_ms, "measured")
    assert answer.error_share == pytest.approx(row.spread_ms / row.latency_ms)


def test_an_aligned_width_lies_on_the_line_between_its_neighbours() -> None:
    answer = _depthwise_table({16: 1.0, 64: 4.0}).lookup(_depthwise(32))
    assert (answer.ms, answer.kind) == (pytest.approx(2.0), "interpolated")


def test_an_unaligned_width_is_taken_for_the_row_above_it_and_never_smoothed_over_a_step() -> None:
    answer = _depthwise_table({16: 1.0, 32: 4.0}).lookup(_depthwise(17))
    assert (answer.ms, answer.kind) == (4.0, "estimated")


def test_a_width_beyond_all_rows_follows_the_formula_of_its_group() -> None:
    table = _depthwise_table({16: 1.0, 32: 2.0, 48: 3.0})
    answer = table.lookup(_depthwise(480))
    assert answer.kind == "estimated"
    assert answer.ms == pytest.approx(30.0, rel=0.01)


def test_an_operator_of_a_kind_that_was_never_measured_is_an_error(table: LatencyTable) -> None:
    with pytest.raises(HwticketsError, match="no operator of the kind 'relu'"):
        table.lookup(OperatorSpec("relu", 8, 8))


@given(st.dictionaries(st.integers(1, 40).map(lambda n: 16 * n), st.floats(0.001, 10), min_size=2), st.data())
def test_between_two_rows_the_answer_is_between_their_latencies(
    latencies: dict[int, float], data: st.DataObject
) -> None:
    low, high = min(latencies), max(latencies)
    width = data.draw(st.integers(low, high))
    below = max(known for known in latencies if known <= width)
    above = min(known for known in latencies if known >= width)
    ends = sorted([latencies[below], latencies[above]])
    assert ends[0] - 1e-9 <= _depthwise_table(latencies).lookup(_depthwise(width)).ms <= ends[1] + 1e-9


def test_a_prediction_is_the_calibrated_sum(table: LatencyTable, space: Space) -> None:
    graph = space.graph(space.dense())
    prediction = table.predict(graph)
    assert prediction.ms == pytest.approx(0.002 + 1.1 * table.operator_sum(graph) + 0.0005 * len(graph))
    assert prediction.error_ms == pytest.approx(0.05 * prediction.ms, rel=0.1)
    assert prediction.kinds == {"measured": len(graph)}


def test_unmeasured_operators_widen_the_expected_error(table: LatencyTable, space: Space) -> None:
    graph = space.graph(dict.fromkeys(space.units, 24))
    prediction = table.predict(graph)
    assert set(prediction.kinds) > {"measured"}
    assert prediction.error_ms > 0.06 * prediction.ms


def test_calibration_finds_the_offset_and_scale_of_whole_networks(table: LatencyTable, space: Space) -> None:
    table = replace(table, calibration=Calibration())
    graphs = sampled_networks(space, 16, 20, seed=0)
    latencies_ms = np.array([0.003 + 1.5 * table.operator_sum(graph) for graph in graphs])
    better = calibrated(table, graphs, latencies_ms)
    assert better.calibration.offset_ms == pytest.approx(0.003, rel=1e-3)
    assert better.calibration.scale == pytest.approx(1.5, rel=1e-3)
    assert [better.predict(graph).ms for graph in graphs] == pytest.approx(latencies_ms)
