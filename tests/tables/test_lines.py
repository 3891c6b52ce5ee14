from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.lines import Lines


def _depthwise(channels: int) -> OperatorSpec:
    return OperatorSpec("conv", channels, channels, 3, groups=channels, height=8, width=8)


def _dense(c_out: int) -> OperatorSpec:
    return OperatorSpec("conv", 16, c_out, height=8, width=8)


def _lines(latencies_ms: dict[int, float], alignment: int = 16) -> Lines:
    return Lines({_depthwise(channels): ms for channels, ms in latencies_ms.items()}, alignment)


def _staircase(channels: int, step: int) -> float:
    return 1.0 + -(-channels // step)


def test_the_middle_of_two_rows_is_half_way() -> None:
    between = _lines({16: 1.0, 48: 2.0}).between(_depthwise(32))
    assert between is not None
    assert (between.ms, between.gap, between.padded) == (pytest.approx(1.5), 32, False)


def test_outside_all_rows_there_is_no_line() -> None:
    lines = _lines({32: 1.0, 64: 2.0})
    assert lines.between(_depthwise(16)) is None
    assert lines.between(_depthwise(80)) is None
    assert lines.between(_dense(48)) is None


@pytest.mark.parametrize("width", [17, 30, 31, 32])
def test_inside_one_step_the_row_above_is_taken(width: int) -> None:
    between = _lines({16: 1.0, 32: 4.0, 48: 5.0}).between(_depthwise(width))
    assert between is not None
    assert between.ms == 4.0
    assert between.padded == (width != 32)


def test_a_row_that_is_no_multiple_ends_its_step() -> None:
    between = _lines({16: 1.0, 30: 4.0, 48: 9.0}).between(_depthwise(20))
    assert between is not None and between.ms == 4.0


@given(st.integers(2, 6), st.integers(1, 5))
def test_a_missing_row_of_a_staircase_is_never_put_on_its_riser(steps: int, missing: int) -> None:
    # The runtime takes four aligned widths at once, which the table does not know.
    alignment, step = 4, 16
    widths = [width for width in range(alignment, step * steps + 1, alignment)]
    gone = widths[missing * 2 % (len(widths) - 2) + 1]
    lines = _lines({width: _staircase(width, step) for width in widths if width != gone}, alignment)
    between = lines.between(_depthwise(gone))
    assert between is not None
    levels = {_staircase(gone, step), _staircase(gone + alignment, step)}
    assert between.ms in levels
    assert between.ms >= _staircase(gone, step)


@given(
    st.dictionaries(st.integers(1, 64).map(lambda n: 8 * n), st.floats(0.001, 100), min_size=2, max_size=12),
    st.data(),
)
def test_between_rows_is_never_outside_them(latencies_ms: dict[int, float], data: st.DataObject) -> None:
    width = data.draw(st.integers(min(latencies_ms), max(latencies_ms)))
    between = _lines(latencies_ms, 8).between(_depthwise(width))
    assert between is not None
    assert 0 < between.low_ms - 1e-9 <= between.ms <= between.high_ms + 1e-9
    below = max(known for known in latencies_ms if known <= width)
    above = min(known for known in latencies_ms if known >= width)
    assert {between.low_ms, between.high_ms} <= {latencies_ms[below], latencies_ms[above]}


def test_lines_know_from_their_own_rows_how_good_they_are() -> None:
    errors = {}
    for power in (1, 3):
        rows = {16 * n: float(n**power) for n in range(1, 20) if n not in (9, 10, 11)}
        between = _lines(rows).between(_depthwise(160))
        assert between is not None
        errors[power] = between.error_share
    assert errors[1] < 0.5 * errors[3]


def test_the_nearer_family_answers() -> None:
    rows = {
        OperatorSpec("conv", 16, 16, height=8, width=8): 1.0,
        OperatorSpec("conv", 16, 256, height=8, width=8): 9.0,
        OperatorSpec("conv", 8, 64, height=8, width=8): 2.0,
        OperatorSpec("conv", 24, 64, height=8, width=8): 4.0,
    }
    between = Lines(rows, 8).between(OperatorSpec("conv", 16, 64, height=8, width=8))
    assert between is not None
    assert (between.ms, between.gap) == (pytest.approx(3.0), 16)
