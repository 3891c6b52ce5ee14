from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
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
    # All constants of a roofline are positive: it cannot quite reach zero latency at zero channels.
    assert answer.ms == pytest.approx(30.0, rel=0.1)


def test_an_operator_of_a_kind_that_was_never_measured_is_estimated_with_much_doubt(
    table: LatencyTable,
) -> None:
    # Tables of others hold convolutions alone, and must still price the pooling and the classifier.
    answer = table.lookup(OperatorSpec("relu", 8, 8, height=8, width=8))
    assert answer.ms > 0
    assert answer.kind == "estimated"
    assert answer.error_share >= 0.5


def test_an_empty_table_says_so(table: LatencyTable) -> None:
    with pytest.raises(HwticketsError, match="is empty; build one"):
        replace(table, rows={}).lookup(OperatorSpec("relu", 8, 8))


@given(
    st.dictionaries(st.integers(1, 40).map(lambda n: 16 * n), st.floats(0.001, 10), min_size=2, max_size=20),
    st.data(),
)
@settings(deadline=None)
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


def test_many_at_once_are_the_same_as_one_by_one(table: LatencyTable, space: Space) -> None:
    specs = [operator.spec for graph in sampled_networks(space, 8, 10, seed=1) for operator in graph]
    together = table.lookup_many(specs)
    alone = replace(table)
    assert [alone.lookup(spec).ms for spec in specs] == pytest.approx([answer.ms for answer in together])
    assert [alone.lookup(spec).kind for spec in specs] == [answer.kind for answer in together]


def test_where_rows_are_far_apart_the_others_say_what_lies_between_but_never_outside() -> None:
    # The latency follows a curve that other image sides show in full; of one side only the ends are known.
    def spec(channels: int, pixels: int) -> OperatorSpec:
        return OperatorSpec("conv", channels, channels, 3, groups=channels, height=pixels, width=pixels)

    def latency_ms(channels: int, pixels: int) -> float:
        return 1e-5 * channels**2 * pixels

    rows = {spec(c, p): Row(latency_ms(c, p)) for p in (4, 8, 16, 32) for c in range(16, 513, 32)}
    rows |= {spec(c, 12): Row(latency_ms(c, 12)) for c in (16, 512)}
    table = LatencyTable("gpu", "tensorrt", "fp32", 1, 16, {}, rows)
    answer = table.lookup(spec(256, 12))
    line_ms = (latency_ms(16, 12) + latency_ms(512, 12)) / 2
    assert answer.kind == "interpolated"
    assert abs(answer.ms / latency_ms(256, 12) - 1) < 0.5 * abs(line_ms / latency_ms(256, 12) - 1)
    assert latency_ms(16, 12) <= answer.ms <= latency_ms(512, 12)


def test_an_activation_that_no_row_has_changes_nothing_but_the_kind_of_the_answer() -> None:
    plain = OperatorSpec("conv", 16, 32, height=8, width=8)
    table = LatencyTable("gpu", "tensorrt", "fp32", 1, 8, {}, {plain: Row(0.5)})
    answer = table.lookup(replace(plain, activation="relu"))
    assert (answer.ms, answer.kind) == (0.5, "interpolated")


def test_without_whole_networks_half_of_the_latency_is_in_doubt(table: LatencyTable, space: Space) -> None:
    prediction = replace(table, error={}).predict(space.graph(space.dense()))
    assert prediction.error_ms >= 0.5 * prediction.ms


def test_a_table_says_what_it_is_made_of(table: LatencyTable) -> None:
    told = table.describe()
    assert (told["table"], told["rows"], told["kind"]) == (
        "cpu/onnxruntime-fp32",
        len(table.rows),
        "measured",
    )
    assert sum(told["operators"].values()) == len(table.rows)
    assert told["provenance"]["space"] == "toy"
    assert replace(table, batch=32).name == "cpu/onnxruntime-fp32-b32"


def test_calibration_finds_the_offset_and_scale_of_whole_networks(table: LatencyTable, space: Space) -> None:
    table = replace(table, calibration=Calibration())
    graphs = sampled_networks(space, 16, 20, seed=0)
    latencies_ms = np.array([0.003 + 1.5 * table.operator_sum(graph) for graph in graphs])
    better = calibrated(table, graphs, latencies_ms)
    assert better.calibration.offset_ms == pytest.approx(0.003, rel=1e-3)
    assert better.calibration.scale == pytest.approx(1.5, rel=1e-3)
    assert [better.predict(graph).ms for graph in graphs] == pytest.approx(latencies_ms)
