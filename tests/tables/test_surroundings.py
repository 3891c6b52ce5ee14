from __future__ import annotations

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.surroundings import Surroundings
from hwtickets.tables.table import LatencyTable, Row


def _conv(c_in: int, c_out: int, height: int = 8) -> OperatorSpec:
    return OperatorSpec("conv", c_in, c_out, 3, height=height, width=8, activation="relu")


ROWS = [_conv(c_in, c_out) for c_in in (16, 48, 96) for c_out in (32, 64, 128)]


def test_rows_hold_what_lies_between_them_in_both_counts() -> None:
    around = Surroundings(ROWS)
    assert around.hold(_conv(32, 48))
    assert not around.hold(_conv(112, 48))
    assert not around.hold(_conv(32, 144))
    assert not around.hold(_conv(32, 48, height=16))


def test_a_few_rows_say_nothing() -> None:
    assert not Surroundings(ROWS[:5]).hold(_conv(16, 48))


def test_depthwise_and_grouped_convolutions_are_kept_apart() -> None:
    depthwise = [OperatorSpec("conv", width, width, 3, groups=width) for width in range(16, 129, 16)]
    around = Surroundings(depthwise)
    assert around.hold(OperatorSpec("conv", 40, 40, 3, groups=40))
    assert not around.hold(OperatorSpec("conv", 40, 40, 3, groups=4))


def test_what_is_learnt_from_rows_on_all_sides_counts_as_interpolated() -> None:
    grid = [_conv(c_in, c_out) for c_in in range(16, 113, 16) for c_out in range(16, 113, 32)]
    rows = {spec: Row(1e-3 + spec.macs / 1e8 * (1 + (spec.c_in % 32) / 32)) for spec in grid}
    table = LatencyTable("cpu", "onnxruntime", "fp32", 1, 16, {}, rows)
    inside, outside = table.lookup_many([_conv(56, 56), _conv(56, 500)])
    assert inside.kind in ("interpolated", "estimated")
    assert outside.kind == "estimated"


def test_an_activation_alone_is_not_taken_for_another() -> None:
    def alone(name: str, channels: int) -> OperatorSpec:
        return OperatorSpec("activation", channels, channels, height=8, width=8, activation=name)

    rows = {alone("gelu", channels): Row(channels * 1e-3) for channels in (16, 32, 48)}
    table = LatencyTable("cpu", "onnxruntime", "fp32", 1, 16, {}, rows)
    assert table.lookup(alone("gelu", 32)).kind == "measured"
    assert table.lookup(alone("mish", 32)).kind == "estimated"
