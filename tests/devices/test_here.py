from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hwtickets.devices import fingerprint, fingerprint_id, get_device, list_devices, open_bench
from hwtickets.devices.add import add_device
from hwtickets.devices.gpu import gpu_model
from hwtickets.devices.here import devices_here
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.registry import profile_path, save_profile
from hwtickets.devices.runtimes import LOCAL_RUNTIMES, lacking, runtime_version
from hwtickets.errors import DeviceError, UsageError

ON_GPU = [name for name, runtime in LOCAL_RUNTIMES.items() if runtime.gpu]


def test_this_machine_is_one_device_for_each_runtime() -> None:
    here = devices_here()
    assert next(iter(here)) == "cpu"
    assert {device.runtime for device in here.values()} == set(LOCAL_RUNTIMES)
    assert [device.name for device in list_devices()][: len(here)] == list(here)
    assert all(get_device(name) == device for name, device in here.items())


def test_runtimes_of_one_processor_have_tables_of_their_own() -> None:
    on_cpu = [device for device in devices_here().values() if device.name.startswith("cpu")]
    found = {fingerprint_id(fingerprint(device)) for device in on_cpu}
    assert len(found) == len(on_cpu) >= 4
    assert len({device.alignment for device in on_cpu}) == 1


def test_the_version_of_a_runtime_is_that_of_its_package() -> None:
    assert fingerprint(get_device("cpu-pytorch"))["runtime"] == f"pytorch {runtime_version('pytorch')}"
    assert runtime_version("pytorch")[0].isdigit()
    assert runtime_version("no_such_runtime") == "not installed"


def test_a_device_of_the_user_goes_before_one_of_ours_but_not_before_the_cpu() -> None:
    save_profile(DeviceProfile(name="gpu", description="mine", connection="ssh", host="my-gpu"))
    try:
        assert get_device("gpu").host == "my-gpu"
        assert [device.host for device in list_devices() if device.name == "gpu"] == ["my-gpu"]
    finally:
        profile_path("gpu").unlink()


def test_a_board_cannot_take_one_of_the_names() -> None:
    with pytest.raises(UsageError, match="'cpu-openvino' is this machine's own name"):
        add_device("cpu-openvino", "me@board")


@pytest.mark.parametrize("runtime", ON_GPU)
def test_without_a_gpu_what_needs_one_is_refused_in_one_line(runtime: str) -> None:
    if gpu_model() is not None:
        pytest.skip("there is a GPU")
    device = devices_here()[LOCAL_RUNTIMES[runtime].device]
    assert device.description.endswith("(not here: it needs an NVIDIA GPU, and there is none)")
    with pytest.raises(DeviceError, match="it needs an NVIDIA GPU, and there is none; choose another device"):
        open_bench(device)


def test_a_missing_package_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    lack = lacking("openvino")
    assert lack == ("openvino is not installed", "pip install 'hwtickets[openvino]'")
    with pytest.raises(DeviceError, match=r"openvino is not installed; pip install 'hwtickets\[openvino\]'"):
        open_bench(get_device("cpu-openvino"))


def test_a_missing_compiler_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    lack = lacking("pytorch-compiled")
    assert lack is not None and lack.reason == "torch.compile needs a C++ compiler, and there is none"
    assert lacking("pytorch") is None


def test_a_precision_that_the_runtime_lacks_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown precision 'fp23'; did you mean 'fp32'"):
        open_bench(get_device("cpu-pytorch"), "fp23")
    with pytest.raises(DeviceError, match="cpu-pytorch cannot be measured at bf16, only at fp32"):
        open_bench(get_device("cpu-pytorch"), "bf16")


def test_a_table_of_a_gpu_holds_for_that_gpu_and_its_driver() -> None:
    found = fingerprint(get_device("gpu"))
    assert found["gpu"] == (gpu_model() or "none")
    for field in ("gpu", "driver"):
        assert fingerprint_id({**found, field: "another"}) != fingerprint_id(found)
        assert field not in fingerprint(get_device("cpu"))
