from __future__ import annotations

import pytest

from hwtickets.devices import get_device
from hwtickets.devices.hardware import board_hardware, module_facts, with_sensors
from hwtickets.devices.profile import DeviceProfile


@pytest.mark.parametrize(
    ("model", "dla_cores", "sparse"),
    [
        ("NVIDIA Jetson AGX Orin Developer Kit", 2, True),
        ("NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super", 0, True),
        ("NVIDIA Jetson Orin NX Engineering Reference Developer Kit", None, True),
        ("Jetson-AGX", None, None),
        ("NVIDIA Jetson AGX Xavier", 2, False),
        ("NVIDIA Jetson Xavier NX Developer Kit", 2, False),
        ("NVIDIA Jetson TX2 NX", 0, False),
        ("NVIDIA Jetson Nano Developer Kit", 0, False),
        ("Raspberry Pi 5 Model B Rev 1.0", 0, False),
        (None, None, None),
    ],
)
def test_accelerators_follow_from_the_name_of_the_module(
    model: str | None, dla_cores: int | None, sparse: bool | None
) -> None:
    facts = module_facts(model)
    assert (facts.get("dla_cores"), facts.get("sparse_tensor_cores")) == (dla_cores, sparse)
    assert set(facts["sources"]) == set(facts) - {"sources"}, "each with where it is known from"
    DeviceProfile(name="a", description="b", **facts)


def test_a_board_that_was_asked_says_so() -> None:
    facts = board_hardware("NVIDIA Jetson AGX Orin Developer Kit", ["VDD_GPU_SOC", "VDD_CPU_CV"])
    board = DeviceProfile(name="orin", description="a board", **facts)
    assert board.sensors == ("VDD_GPU_SOC", "VDD_CPU_CV") and board.dla_cores == 2
    assert "asked of the board" in board.sources["sensors"]
    assert "by its name" in board.sources["dla_cores"]


@pytest.mark.parametrize(
    ("capability", "sparse"), [("7.2", False), ("8.7", True), ("11.0", True), (None, None)]
)
def test_sparse_tensor_cores_are_asked_of_the_gpu(capability: str | None, sparse: bool | None) -> None:
    facts = board_hardware("a carrier of our own", [], capability)
    assert facts.get("sparse_tensor_cores") == sparse
    assert (sparse is None) == ("sparse_tensor_cores" not in facts["sources"])


def test_this_machine_names_its_power_sensor_or_says_why_there_is_none() -> None:
    device = with_sensors(get_device("cpu"))
    assert device.sources["sensors"]
    assert bool(device.sensors) == (device.sources["sensors"] == "asked now")
