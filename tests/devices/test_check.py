from __future__ import annotations

from hwtickets.devices import check_device, get_device


def test_the_runtime_of_the_cpu_is_there() -> None:
    runtime = next(check for check in check_device(get_device("cpu")) if check.name == "runtime")
    assert runtime.ok


def test_a_runtime_that_does_not_run_here_is_named() -> None:
    profile = get_device("cpu").model_copy(update={"runtime": "no_such_runtime"})
    runtime = next(check for check in check_device(profile) if check.name == "runtime")
    assert not runtime.ok
    assert runtime.detail == "no_such_runtime does not run on this machine"
    assert runtime.advice == "choose another device: hwtickets devices list"


def test_advice_is_given_where_something_is_wrong_and_nowhere_else() -> None:
    assert all(bool(check.advice) != check.ok for check in check_device(get_device("cpu")))
