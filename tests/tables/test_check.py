from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hwtickets.devices import get_device
from hwtickets.tables import LatencyTable, check_table
from hwtickets.tables.sampling import Space

_CPU = get_device("cpu").model_copy(update={"alignment": 16})


def test_a_table_of_another_machine_shows_its_scale_and_its_differences(
    space: Space, table: LatencyTable
) -> None:
    found = check_table(table, space, _CPU, samples=8)
    assert found.networks == 8
    assert found.machine_scale > 0
    assert any(line.startswith("cpu: toy ->") for line in found.differences)
    assert found.error_after_scale["median_error"] <= found.error["median_error"] + 1e-9
    errors = [abs(network["error"]) for network in found.furthest]
    assert len(errors) == 3 and errors == sorted(errors, reverse=True)
    # Here a share of the prediction, there one of the measurement.
    p90 = found.error_after_scale["p90_error"]
    assert errors[0] >= p90 / (1 + p90) - 1e-9
    for network in found.furthest:
        named = re.findall(r"([\w/]+) \((measured|interpolated|estimated), (\d+) %\)", network["operators"])
        shares = [int(share) for _, _, share in named]
        assert {name.partition("/")[0] for name, _, _ in named} <= {"stem", "b0", "b1", "head"}
        assert 0 < sum(shares) <= 101 and shares == sorted(shares, reverse=True)


def test_a_slower_machine_is_told_by_the_scale_alone(space: Space, table: LatencyTable) -> None:
    def scaled(factor: float) -> LatencyTable:
        calibration = table.calibration
        values = (calibration.offset_ms, calibration.scale, calibration.per_operator_ms)
        return replace(table, calibration=type(calibration)(*(factor * value for value in values)))

    one, hundred = (check_table(scaled(factor), space, _CPU, samples=4) for factor in (1.0, 100.0))
    assert one.machine_scale / hundred.machine_scale == pytest.approx(100, rel=0.9)
