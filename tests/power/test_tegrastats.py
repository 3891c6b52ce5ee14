from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hwtickets.errors import DeviceError
from hwtickets.power.tegrastats import TegrastatsMeter, parse_line

# The forms of AGX Orin on JetPack 6, Orin NX on JetPack 5, Nano and AGX Xavier on JetPack 4, with made-up
# values.
AGX_ORIN = (
    "01-02-2030 03:04:05 RAM 8000/60000MB (lfb 100x4MB) SWAP 100/30000MB (cached 0MB)"
    " CPU [50%@2000,75%@2000] EMC_FREQ 1%@2000 GR3D_FREQ 10%@[400,400] VIC_FREQ 100 NVDLA0_FREQ @1500"
    " APE 100 CV0@50.125C CPU@51.25C Tboard@40C tj@51.25C VDD_GPU_SOC 3000mW/2900mW"
    " VDD_CPU_CV 12000mW/11000mW VIN_SYS_5V0 5000mW/5100mW VDDQ_VDD2_1V8AO 1000mW/1000mW"
)
ORIN_NX = (
    "RAM 2000/7000MB (lfb 3x1MB) SWAP 0/3500MB (cached 0MB) CPU [1%@700,0%@700] EMC_FREQ 0% GR3D_FREQ 0%"
    " CPU@40C GPU@41C VDD_IN 4600mW/4500mW VDD_CPU_GPU_CV 800mW/750mW VDD_SOC 1600mW/1500mW"
)
NANO = (
    "RAM 1000/4000MB (lfb 500x4MB) IRAM 0/250kB(lfb 250kB) CPU [8%@100,2%@100] GR3D_FREQ 0%@80 APE 20"
    " PLL@20C CPU@22.5C POM_5V_IN 1600/1550 POM_5V_GPU 90/80 POM_5V_CPU 170/160"
)
AGX_XAVIER = (
    "RAM 3000/15000MB (lfb 2000x4MB) CPU [0%@1200,off] GR3D_FREQ 0% GPU 310/300 CPU 620/600 SOC 930/900"
    " CV 0/0 VDDRQ 150/140 SYS5V 1700/1650"
)


@pytest.mark.parametrize(
    ("line", "powers"),
    [
        (
            AGX_ORIN,
            {"VDD_GPU_SOC": 3000, "VDD_CPU_CV": 12000, "VIN_SYS_5V0": 5000, "VDDQ_VDD2_1V8AO": 1000},
        ),
        (ORIN_NX, {"VDD_IN": 4600, "VDD_CPU_GPU_CV": 800, "VDD_SOC": 1600}),
        (NANO, {"POM_5V_IN": 1600, "POM_5V_GPU": 90, "POM_5V_CPU": 170}),
        (AGX_XAVIER, {"GPU": 310, "CPU": 620, "SOC": 930, "CV": 0, "VDDRQ": 150, "SYS5V": 1700}),
        ("", {}),
        ("RAM 2000/7000MB VDD_IN mW/4500mW", {}),
    ],
)
def test_the_powers_of_a_line(line: str, powers: dict[str, float]) -> None:
    assert parse_line(line) == powers


def fake(folder: Path, body: str) -> TegrastatsMeter:
    """A program that stands in for tegrastats."""
    script = folder / "tegrastats.py"
    script.write_text(f"import sys, time\nassert sys.argv[1:] == ['--interval', '100']\n{body}")
    return TegrastatsMeter([sys.executable, str(script)])


def test_energy_from_its_lines(tmp_path: Path) -> None:
    meter = fake(tmp_path, f"while True:\n    print({ORIN_NX!r}, flush=True)\n    time.sleep(0.01)")
    assert meter.available() is None
    sample = meter.measure(lambda: time.sleep(0.1))
    assert sample.power_mw == pytest.approx(4600)
    assert sample.sensor == "tegrastats VDD_IN"


@pytest.mark.parametrize(
    "body", ["", "print('RAM 2000/7000MB', flush=True)", "print('VIN_SYS_5V0 5000mW/5100mW')"]
)
def test_no_power_is_a_reason(tmp_path: Path, body: str) -> None:
    meter = fake(tmp_path, body)
    assert "prints no power of the module" in str(meter.available())
    with pytest.raises(DeviceError, match="prints no power"):
        meter.measure(lambda: None)


def test_one_that_ends_while_it_measures_is_an_error(tmp_path: Path) -> None:
    meter = fake(tmp_path, f"print({ORIN_NX!r}, flush=True)")
    with pytest.raises(DeviceError, match="prints no power"):
        meter.measure(lambda: time.sleep(0.05))


def test_without_the_program_there_is_a_reason() -> None:
    meter = TegrastatsMeter(["no-such-tegrastats"])
    assert meter.available() == "there is no program 'no-such-tegrastats'"
    with pytest.raises(DeviceError, match="cannot be started"):
        meter.measure(lambda: None)
