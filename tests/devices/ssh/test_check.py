from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.loopback import Loopback
from hwtickets.devices import Check, DeviceProfile, check_device, open_bench
from hwtickets.power import NoMeterError
from hwtickets.runtimes.bench import MeteredBench
from hwtickets.runtimes.onnxruntime import Array

HWMON = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
JETSON = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\nModel\t: ARMv8 Processor rev 1\n",
    "proc/meminfo": "MemAvailable:    6000000 kB\nSwapTotal:       3800000 kB\nSwapFree:        3000000 kB\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
    "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3, GCID: 12345678, BOARD: generic\n",
    "usr/local/cuda/version.json": '{"cuda" : {"name" : "CUDA SDK", "version" : "12.6.68"}}',
    "var/lib/dpkg/status": "Package: libnvinfer10\nStatus: install ok installed\nVersion: 10.3.0.30-1+cu\n"
    "\nPackage: nvidia-jetpack\nStatus: install ok installed\nVersion: 6.2+b77\n"
    "\nPackage: libnvinfer8\nStatus: install ok installed\nVersion: 8.6.2-1+cuda11.4\n"
    "\nPackage: libnvinfer11\nStatus: deinstall ok config-files\nVersion: 11.1.0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1344000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq": "729600\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "1510400\n",
    "sys/class/devfreq/17000000.gpu/cur_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/min_freq": "306000000\n",
    "sys/class/devfreq/17000000.gpu/max_freq": "624750000\n",
    "sys/class/devfreq/15340000.vic/cur_freq": "999000000\n",
    "sys/class/thermal/thermal_zone1/type": "gpu-thermal\n",
    "sys/class/thermal/thermal_zone1/temp": "49750\n",
    f"{HWMON}/in1_label": "VDD_IN\n",
    f"{HWMON}/in1_input": "5000\n",
    f"{HWMON}/curr1_input": "800\n",
}


@pytest.fixture(scope="module")
def jetson(
    loopback: Loopback, tmp_path_factory: pytest.TempPathFactory, make_profile: Callable[..., DeviceProfile]
) -> DeviceProfile:
    """A board whose system files and nvpmodel are those of a Jetson."""
    root = tmp_path_factory.mktemp("jetson")
    for path, text in JETSON.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    for name, text in {"nvpmodel": "NV Power Mode: 15W\n0", "trtexec": ""}.items():
        program = root / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{text}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    loopback.add("jetson", {"HWTICKETS_AGENT_ROOT": str(root), "PATH": f"{root}/bin:/usr/bin:/bin"})
    return make_profile("jetson", runtime="trtexec", precisions=("fp16",))


def _found(profile: DeviceProfile) -> dict[str, Check]:
    return {check.name: check for check in check_device(profile)}


def test_a_board_tells_what_it_is(jetson: DeviceProfile) -> None:
    found = _found(jetson)
    assert found["board"].detail.startswith("NVIDIA Jetson Orin Nano Developer Kit, ARMv8 Processor")
    assert "JetPack 6.2+b77, L4T 36.4.3, CUDA 12.6.68" in found["system"].detail
    assert "trtexec 10.3.0.30" in found["runtime"].detail
    assert found["power mode"].detail.startswith("15W; ")
    assert found["power sensors"].detail == "VDD_IN"
    assert found["heat"].detail == "50 degrees C at most (gpu-thermal)"


def test_a_board_tells_what_to_fix(jetson: DeviceProfile) -> None:
    found = _found(jetson)
    assert found["GPU clock"] == Check(
        "GPU clock", False, "306 MHz of 625", "sudo jetson_clocks, for steady clocks"
    )
    assert found["CPU clock"].detail == "schedutil, 1344 MHz of 1510"
    assert not found["CPU clock"].ok
    assert not found["swap"].ok
    assert "800 MB in use" in found["swap"].detail


def test_clocks_that_cannot_move_are_steady_whatever_the_governor(
    jetson: DeviceProfile, loopback: Loopback, tmp_path: Path
) -> None:
    cpu = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpu.mkdir(parents=True)
    for name, text in {
        "governor": "schedutil",
        "min_freq": "9000",
        "max_freq": "9000",
        "cur_freq": "9000",
    }.items():
        (cpu / f"scaling_{name}").write_text(text)
    loopback.add("steady", {"HWTICKETS_AGENT_ROOT": str(tmp_path)})
    assert _found(jetson.model_copy(update={"name": "steady", "host": "steady"}))["CPU clock"].ok


def test_advice_is_given_where_something_is_wrong_and_nowhere_else(board: DeviceProfile) -> None:
    assert all(bool(check.advice) != check.ok for check in check_device(board))


def test_who_measures_on_the_board_is_told(board: DeviceProfile) -> None:
    assert _found(board)["client"].ok
    with open_bench(board):
        client = _found(board)["client"]
    assert not client.ok
    assert "in use by " in client.detail
    assert client.advice.startswith("wait for it, or end it on the board: kill ")


def test_a_board_makes_a_fingerprint_of_its_own(
    jetson: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(jetson.model_copy(update={"runtime": "onnxruntime"}), "fp16") as bench:
        found = dict(bench.fingerprint)
    assert found["board"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert (found["l4t"], found["power_mode"], found["flags"]) == ("36.4.3", "15W", "asimd asimddp")


def test_clocks_are_kept_before_and_after(
    jetson: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(jetson.model_copy(update={"runtime": "onnxruntime"}), "fp16") as bench:
        timing = bench.time({"a": model}, inputs, runs=5)["a"]
    assert [clocks["gpu"] for clocks in timing.clocks_mhz] == [306, 306]
    assert timing.discarded == 0


def test_the_agent_reads_the_sensors_while_a_model_runs(
    jetson: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(jetson.model_copy(update={"runtime": "onnxruntime"}), "fp16") as bench:
        assert isinstance(bench, MeteredBench)
        assert bench.sensor() == "INA3221 VDD_IN"
        found = bench.energy(model, inputs)
    assert (found.sensor, found.idle_mw) == ("INA3221 VDD_IN", pytest.approx(4000.0))
    assert found.total_mj == pytest.approx(4000.0 * found.seconds / found.runs)


def test_where_sysfs_shows_no_whole_board_tegrastats_is_read(
    loopback: Loopback,
    make_profile: Callable[..., DeviceProfile],
    tmp_path: Path,
    model: bytes,
    inputs: dict[str, Array],
) -> None:
    # As a Jetson AGX Thor prints it; its INA3221 lacks the rail at the input.
    program = tmp_path / "tegrastats"
    line = "RAM 2000/125000MB CPU [1%@1000] VDD_GPU 2000mW/2000mW VIN 9000mW/9000mW"
    program.write_text(f"#!/bin/sh\nwhile echo '{line}'; do sleep 0.1; done\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    for name, text in {"in1_label": "VDD_GPU", "in1_input": "5000", "curr1_input": "400"}.items():
        (tmp_path / HWMON).mkdir(parents=True, exist_ok=True)
        (tmp_path / HWMON / name).write_text(text)
    loopback.add("thor", {"HWTICKETS_AGENT_ROOT": str(tmp_path), "PATH": f"{tmp_path}:/usr/bin:/bin"})
    with open_bench(make_profile("thor")) as bench:
        assert isinstance(bench, MeteredBench)
        assert bench.sensor() == "tegrastats VIN"
        found = bench.energy(model, inputs)
    assert (found.sensor, found.idle_mw) == ("tegrastats VIN", pytest.approx(9000.0))
    assert found.total_mj == pytest.approx(9000.0 * found.seconds / found.runs)


def test_a_board_without_sensors_says_so(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    lack = r"no power sensor was found .*there is no program tegrastats"
    with open_bench(board) as bench, pytest.raises(NoMeterError, match=lack):
        assert isinstance(bench, MeteredBench)
        bench.energy(model, inputs)
