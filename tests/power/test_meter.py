from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import DeviceError
from hwtickets.power.meter import integral_mj, measure_by_polling


def test_trapezoids_between_readings_and_the_edges_held() -> None:
    readings = [(1.0, 100.0), (2.0, 300.0), (3.0, 300.0)]
    assert integral_mj(readings, 1.0, 3.0) == pytest.approx(200 + 300)
    assert integral_mj(readings, 1.5, 2.0) == pytest.approx(0.5 * 250)
    assert integral_mj(readings, 0.0, 1.0) == pytest.approx(100)
    assert integral_mj(readings, 3.0, 5.0) == pytest.approx(600)


@given(
    st.lists(st.floats(0, 1e5), min_size=1, max_size=20),
    st.floats(-5, 25),
    st.floats(0.01, 10),
    st.floats(0.01, 10),
)
def test_windows_side_by_side_add_up(powers: list[float], begin: float, one: float, other: float) -> None:
    readings = [(float(index), power) for index, power in enumerate(powers)]
    parts = integral_mj(readings, begin, begin + one) + integral_mj(
        readings, begin + one, begin + one + other
    )
    assert integral_mj(readings, begin, begin + one + other) == pytest.approx(parts, abs=1e-3)


def test_a_constant_power_is_power_times_time() -> None:
    sample = measure_by_polling(lambda: 2500.0, lambda: time.sleep(0.05), 0.005, "a sensor")
    assert sample.power_mw == pytest.approx(2500)
    assert sample.energy_mj == pytest.approx(2500 * sample.seconds)
    assert sample.samples > 2
    assert sample.sensor == "a sensor"


def test_a_sensor_that_stops_in_between_is_an_error_and_not_less_energy() -> None:
    def readings() -> Iterator[float]:
        yield from (100.0, 100.0, 100.0)
        raise OSError("no such device")

    powers = readings()
    with pytest.raises(DeviceError, match=r"a sensor stopped answering: no such device"):
        measure_by_polling(lambda: next(powers), lambda: time.sleep(0.1), 0.001, "a sensor")


def test_what_reads_nothing_is_an_error_and_not_0() -> None:
    with pytest.raises(DeviceError, match="reads no power"):
        measure_by_polling(lambda: 0.0, lambda: time.sleep(0.01), 0.001, "a sensor")


def test_a_failure_of_the_work_is_its_own() -> None:
    def fail() -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        measure_by_polling(lambda: 1.0, fail, 0.001, "a sensor")
