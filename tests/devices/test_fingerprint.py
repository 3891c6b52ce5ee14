from __future__ import annotations

from hwtickets.devices import decisive, differences, fingerprint, fingerprint_id, get_device


def test_one_machine_has_one_fingerprint() -> None:
    assert fingerprint(get_device("cpu")) == fingerprint(get_device("cpu"))


def test_threads_make_another_device_of_it() -> None:
    one, two = (fingerprint(get_device("cpu", threads)) for threads in (1, 2))
    assert fingerprint_id(one) != fingerprint_id(two)
    assert differences(one, two) == ["threads: 1 -> 2"]


def test_the_python_version_does_not_change_latencies() -> None:
    found = fingerprint(get_device("cpu"))
    assert fingerprint_id({**found, "python": "2.7"}) == fingerprint_id(found)


def test_a_field_that_only_one_side_has_is_a_difference() -> None:
    assert differences({}, {"cpu": "new"}) == ["cpu: unknown -> new"]


def test_another_trtexec_or_other_timing_options_are_another_device() -> None:
    found = {**fingerprint(get_device("cpu")), "trtexec": "8.5.2", "timing": "--useSpinWait"}
    for changed in ({"trtexec": "8.6.1"}, {"timing": "useSpinWait by default"}):
        assert fingerprint_id({**found, **changed}) != fingerprint_id(found)
        assert changed.keys() <= decisive({**found, **changed}).keys()
