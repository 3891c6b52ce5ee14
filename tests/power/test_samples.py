from __future__ import annotations

from typing import Any

import pytest

from hwtickets.power import NoMeterError
from hwtickets.power.samples import energy_of_samples


def answer(**change: Any) -> dict[str, Any]:
    """What an agent sends of a board that takes 2 W idle and 5 W busy: 20 runs in a second."""
    moments = [0.1 * (index + 1) for index in range(10)]
    return {
        "rails": ["VDD_CPU_GPU_CV", "VDD_IN"],
        "idle": [[moment, 500.0, 2000.0] for moment in moments],
        "busy": [[moment, 3000.0, 5000.0] for moment in moments],
        "runs": 20,
        **change,
    }


def test_total_and_above_idle() -> None:
    found = energy_of_samples("orin", answer())
    assert found.total_mj == pytest.approx(5000 * 1.0 / 20)
    assert found.above_idle_mj == pytest.approx(3000 * 1.0 / 20)
    assert (found.idle_mw, found.runs, found.samples) == (pytest.approx(2000), 20, 10)
    assert found.sensor == "INA3221 VDD_IN"


def test_moments_without_an_answer_are_left_out() -> None:
    busy = answer()["busy"]
    busy[3][2] = busy[4][2] = None
    found = energy_of_samples("orin", answer(busy=busy))
    assert (found.samples, found.total_mj) == (8, pytest.approx(250))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rails": ["VDD_CPU_GPU_CV", "VDD_SOC"]}, r"its rails \(VDD_CPU_GPU_CV, VDD_SOC\) are not known"),
        ({"busy": [[0.1, 1.0, None]] * 10}, "its sensor VDD_IN hardly answered"),
        ({"idle": []}, "hardly answered"),
        ({"runs": 0}, "hardly answered"),
        ({"busy": [[0.1 * n, 0.0, 0.0] for n in range(1, 9)]}, "reads no power"),
    ],
)
def test_without_the_whole_board_there_is_a_reason_and_not_0(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(NoMeterError, match=f"^energy is not available on orin: .*{reason}"):
        energy_of_samples("orin", answer(**change))
