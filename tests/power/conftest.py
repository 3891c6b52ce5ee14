from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

#: Voltage in mV and current in mA of every channel, by the address of its monitor.
Rails = Mapping[str, Mapping[str, tuple[int, int]]]


@pytest.fixture
def sysfs(tmp_path: Path) -> Callable[[Rails], Path]:
    """Writes the files that the kernel's ina3221 driver shows, as JetPack 5 and later have them."""

    def write(rails: Rails) -> Path:
        root = tmp_path / "sys"
        for index, (address, channels) in enumerate(rails.items()):
            folder = root / "bus/i2c/drivers/ina3221" / address / "hwmon" / f"hwmon{index + 3}"
            folder.mkdir(parents=True)
            for number, (name, (voltage_mv, current_ma)) in enumerate(channels.items(), 1):
                (folder / f"in{number}_label").write_text(f"{name}\n")
                (folder / f"in{number}_input").write_text(f"{voltage_mv}\n")
                (folder / f"curr{number}_input").write_text(f"{current_ma}\n")
            # The driver also shows the sum of the shunts; it is no rail.
            (folder / "in7_label").write_text("sum of shunt voltages\n")
        return root

    return write
