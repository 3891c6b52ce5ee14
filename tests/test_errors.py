from __future__ import annotations

import pytest

import hwtickets
from hwtickets import errors


def test_a_slip_is_answered_with_the_nearest_name() -> None:
    error = errors.unknown("device", "cpuu", ["nano", "cpu"])
    assert str(error) == "unknown device 'cpuu'; did you mean 'cpu'? Known: cpu, nano."


def test_a_name_far_from_all_gets_the_list_only() -> None:
    assert str(errors.unknown("device", "zzz", ["cpu"])) == "unknown device 'zzz'. Known: cpu."


def test_the_nearest_name_does_not_depend_on_capitals() -> None:
    assert errors.nearest("LATENCY", ["latency", "size"]) == "latency"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.HwticketsError, 1),
        (errors.UsageError, 2),
        (errors.BudgetError, 3),
        (errors.DeviceError, 4),
        (errors.NumericsError, 5),
    ],
)
def test_every_kind_of_failure_has_its_exit_code(kind: type[errors.HwticketsError], code: int) -> None:
    assert kind("x").exit_code == code
    assert isinstance(kind("x"), errors.HwticketsError)
    assert getattr(hwtickets, kind.__name__) is kind
