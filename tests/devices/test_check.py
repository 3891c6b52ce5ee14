from __future__ import annotations

from hwtickets.devices import check_device, get_device


def test_the_runtime_of_the_cpu_is_there() -> None:
    runtime = next(check for check in check_device(get_device("cpu")) if check.name == "runtime")
    assert runtime.ok


def test_a_missing_runtime_comes_with_the_command_that_installs_it() -> None:
    profile = get_device("cpu").model_copy(update={"runtime": "no_such_runtime"})
    runtime = next(check for check in check_device(profile) if check.name == "runtime")
    assert not runtime.ok
    assert runtime.advice == "install it: pip install no_such_runtime"


def test_advice_is_given_where_something_is_wrong_and_nowhere_else() -> None:
    assert all(bool(check.advice) != check.ok for check in check_device(get_device("cpu")))
