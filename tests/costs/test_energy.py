from __future__ import annotations

from dataclasses import replace

import pytest

from hwtickets.costs.energy import energy_cost, why_no_energy
from hwtickets.errors import DeviceError
from hwtickets.space.operators import GraphBuilder, OperatorSpec
from hwtickets.tables import LatencyTable, Row

SMALL = OperatorSpec("conv", 16, 16, 3, height=8, width=8)
LARGE = OperatorSpec("conv", 16, 64, 3, height=8, width=8)
LAST = OperatorSpec("linear", 64, 10)


@pytest.fixture
def table() -> LatencyTable:
    """Convolutions at 5 W and a matrix product at 2 W; 1.5 mJ for nothing."""
    rows = {
        SMALL: Row(2.0, energy_mj=10.0),
        LARGE: Row(8.0, energy_mj=40.0),
        LAST: Row(0.5, energy_mj=1.0),
    }
    facts = {"energy": {"offset_mj": 1.5, "sensor": "INA3221 VDD_IN"}}
    return LatencyTable("orin", "trtexec", "fp16", 1, 8, {}, rows, provenance=facts)


def test_a_network_costs_the_sum_of_its_operators_and_the_offset(table: LatencyTable) -> None:
    builder = GraphBuilder(16, 8, 8)
    x = builder.conv("a", "conv", builder.graph.input, 64, 3)
    builder.linear("head", "linear", x, 10)
    cost = energy_cost(table)
    assert (cost.metric, cost.unit) == ("energy", "mJ")
    assert cost.graph(builder.graph) == 40.0 + 1.0 + 1.5


def test_an_operator_between_two_rows_takes_the_power_of_its_group(table: LatencyTable) -> None:
    between = replace(LARGE, c_out=40)
    assert energy_cost(table).of(between) == pytest.approx(5 * table.lookup(between).ms)


def test_a_row_without_energy_takes_the_power_of_its_group(table: LatencyTable) -> None:
    half = replace(table, rows={**table.rows, LARGE: Row(8.0)})
    assert energy_cost(half).of(LARGE) == pytest.approx(5 * 8.0)


@pytest.mark.parametrize(
    ("provenance", "text"),
    [
        (
            {},
            "energy is not available on orin: its latency table was made without a power sensor",
        ),
        (
            {"energy": {"reason": "NVML: no driver"}},
            "energy is not available on orin: NVML: no driver",
        ),
    ],
)
def test_without_energies_there_is_a_reason_and_not_0(
    table: LatencyTable, provenance: dict[str, object], text: str
) -> None:
    rows = {spec: replace(row, energy_mj=None) for spec, row in table.rows.items()}
    silent = replace(table, rows=rows, provenance=provenance)
    assert f"energy is not available on orin: {why_no_energy(silent)}" == text
    with pytest.raises(DeviceError) as caught:
        energy_cost(silent)
    assert str(caught.value) == text
    assert caught.value.exit_code == 4


def test_a_table_with_energies_needs_no_reason(table: LatencyTable) -> None:
    assert why_no_energy(table) is None
