from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.devices.gpu import driver_version, gpu_model

_INFORMATION = """Model: 		 NVIDIA H200
IRQ:   		 166
Video BIOS: 	 96.00.d0.00.03
Bus Location: 	 0000:0f:00.0
"""
_VERSION = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 03:34:05 UTC 2025
GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)
"""
_OPEN_VERSION = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root)\n"


def test_the_first_gpu_and_the_driver_are_read_from_the_drivers_own_files(tmp_path: Path) -> None:
    (tmp_path / "gpus" / "0000:0f:00.0").mkdir(parents=True)
    (tmp_path / "gpus" / "0000:0f:00.0" / "information").write_text(_INFORMATION)
    (tmp_path / "version").write_text(_VERSION)
    assert gpu_model(tmp_path) == "NVIDIA H200"
    assert driver_version(tmp_path) == "570.86.15"
    (tmp_path / "version").write_text(_OPEN_VERSION)
    assert driver_version(tmp_path) == "580.65.06"


def test_of_several_gpus_the_one_that_cuda_sees_first_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bus, model, uuid in (
        ("0000:0f:00.0", "NVIDIA H200", "GPU-1b"),
        ("0000:1f:00.0", "NVIDIA A2", "GPU-2c"),
    ):
        folder = tmp_path / "gpus" / bus
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t {model}\nGPU UUID: \t {uuid}\n")
    seen = {
        "": "NVIDIA H200",
        "1,0": "NVIDIA A2",
        "GPU-2": "NVIDIA A2",
        "MIG-7f": "NVIDIA H200",
        "7": None,
        "-1": None,
    }
    for named, model in seen.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
        assert gpu_model(tmp_path) == model


def test_no_driver_is_no_gpu(tmp_path: Path) -> None:
    assert gpu_model(tmp_path / "none") is None
    assert driver_version(tmp_path / "none") is None
    (tmp_path / "version").write_text("something else")
    assert driver_version(tmp_path) is None
