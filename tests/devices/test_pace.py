"""Clocks and throttling of this machine, from a system that the test makes up."""

from __future__ import annotations

from pathlib import Path

from hwtickets.devices.pace import Pace, pace_now, slowing_watch, throttled_between


def _system(root: Path, mhz: int, throttled: int, cooling: int) -> Path:
    for core in range(2):
        cpu = root / f"sys/devices/system/cpu/cpu{core}"
        _write(cpu / "cpufreq/scaling_cur_freq", 1000 * mhz)
        _write(cpu / "cpufreq/scaling_max_freq", 3_000_000)
        _write(cpu / "thermal_throttle/core_throttle_count", throttled)
    device = root / "sys/class/thermal/cooling_device0"
    _write(device / "type", "thermal-throttle-alert")
    _write(device / "cur_state", cooling)
    return root


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{value}\n")


def test_clocks_counters_and_what_is_active(tmp_path: Path) -> None:
    pace = pace_now(root=_system(tmp_path, 2400, 3, 1))
    assert pace.clocks_mhz == {"cpu": 2400, "cpu most": 3000}
    assert (pace.throttle_events, pace.slowed_by) == (6, ("thermal-throttle-alert",))


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    pace = pace_now(root=tmp_path)
    assert pace == Pace({}, None, ())
    assert throttled_between(pace, pace) is None, "nothing told is not the same as not throttled"


def test_throttling_between_two_moments(tmp_path: Path) -> None:
    before = pace_now(root=_system(tmp_path, 2400, 3, 0))
    assert throttled_between(before, before) == ""
    after = pace_now(root=_system(tmp_path, 1200, 5, 2))
    assert throttled_between(before, after) == "thermal-throttle-alert, 4 events of throttling"


def test_a_jetson_that_lacked_current_was_throttled(tmp_path: Path) -> None:
    counter = _system(tmp_path, 2400, 0, 0) / "sys/class/hwmon/hwmon3/oc3_event_cnt"
    _write(counter, 27)
    before = pace_now(root=tmp_path)
    _write(counter, 30)
    assert throttled_between(before, pace_now(root=tmp_path)) == "3 events of throttling"


def test_the_clock_that_is_aimed_at_is_not_the_present_one(tmp_path: Path) -> None:
    for name, hertz in (("cur", 306_000_000), ("target", 624_750_000), ("max", 624_750_000)):
        _write(tmp_path / f"sys/class/devfreq/17000000.gpu/{name}_freq", hertz)
    assert pace_now(root=tmp_path).clocks_mhz == {"gpu": 306, "gpu most": 625}


def test_a_gpu_that_names_no_reason_was_not_slowed() -> None:
    told = Pace({"gpu": 1980}, None, ())
    assert throttled_between(told, told) == ""
    assert throttled_between(told, Pace({"gpu": 900}, None, ("GPU power cap",))) == "GPU power cap"


def test_a_watch_tells_what_happened_since_it_was_asked_last(tmp_path: Path) -> None:
    watch = slowing_watch(root=_system(tmp_path, 2400, 3, 0))
    assert watch is not None and watch() == ""
    _system(tmp_path, 2400, 5, 0)
    assert [watch(), watch()] == ["4 events of throttling", ""]
    _system(tmp_path, 2400, 5, 1)
    assert [watch(), watch()] == ["thermal-throttle-alert"] * 2, "as long as it lasts"


def test_nothing_is_watched_where_nothing_tells(tmp_path: Path) -> None:
    assert slowing_watch(root=tmp_path) is None
