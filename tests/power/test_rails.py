from __future__ import annotations

import pytest

from hwtickets.power.rails import whole_module


@pytest.mark.parametrize(
    ("board", "names", "expected"),
    [
        ("Orin NX", ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"], ("VDD_IN",)),
        ("Nano", ["POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU"], ("POM_5V_IN",)),
        (
            "AGX Orin",
            ["VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0", "VDDQ_VDD2_1V8AO"],
            ("VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
        ),
        (
            "AGX Xavier",
            ["SYS5V", "GPU", "CPU", "SOC", "CV", "VDDRQ"],
            ("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"),
        ),
        ("part of AGX Orin", ["VIN_SYS_5V0", "VDD_CPU_CV"], ()),
        ("unknown", ["VDD_CORE"], ()),
        ("none", [], ()),
    ],
)
def test_the_rails_of_the_whole_module(board: str, names: list[str], expected: tuple[str, ...]) -> None:
    assert whole_module(names) == expected, board
