"""The INA3221 power monitors of Jetson boards, read from sysfs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hwtickets.errors import DeviceError
from hwtickets.power.meter import EnergySample, measure_by_polling
from hwtickets.power.rails import whole_module

#: 200 readings a second, where the sensor answers so fast.
_INTERVAL_S = 0.005
_DRIVERS = Path("bus/i2c/drivers")


@dataclass(frozen=True)
class Rail:
    """One channel of a monitor.

    Attributes:
        name: e.g. "VDD_IN".
        voltage: File with the voltage in mV.
        current: File with the current in mA.
    """

    name: str
    voltage: Path
    current: Path

    def power_mw(self) -> float:
        """Present power in mW.

        Raises:
            OSError: The channel does not answer.
            ValueError: What it says is no number.
        """
        return int(self.voltage.read_text()) * int(self.current.read_text()) / 1000


class Ina3221Meter:
    """Energy of the whole module.

    Args:
        root: Where sysfs is mounted.
        interval_s: Pause between two readings.
    """

    name = "INA3221"

    def __init__(self, root: Path = Path("/sys"), interval_s: float = _INTERVAL_S) -> None:
        self._root, self._interval_s = root, interval_s

    def available(self) -> str | None:
        """None if the rails of the whole module are there and answer, else why not."""
        found = find_rails(self._root)
        if not found:
            return f"there is no INA3221 power monitor under {self._root / _DRIVERS}"
        if not whole_module(found):
            return (
                f"its rails ({', '.join(sorted(found))}) are not known to add up to the power of the module"
            )
        try:
            power_mw = self._reader()()
        except (OSError, ValueError) as error:
            return f"its sensor does not answer ({error})"
        return None if power_mw > 0 else "its sensor reads no power"

    def measure(self, work: Callable[[], object]) -> EnergySample:
        """Energy of the module while `work` runs.

        Raises:
            DeviceError: See `available`.
        """
        reason = self.available()
        if reason is not None:
            raise DeviceError(f"energy cannot be measured here: {reason}")
        names = whole_module(find_rails(self._root))
        return measure_by_polling(self._reader(), work, self._interval_s, f"INA3221 {' + '.join(names)}")

    def _reader(self) -> Callable[[], float]:
        rails = find_rails(self._root)
        whole = [rails[name] for name in whole_module(rails)]
        return lambda: sum(rail.power_mw() for rail in whole)


def find_rails(root: Path = Path("/sys")) -> dict[str, Rail]:
    """The labelled channels of all monitors, by name.

    JetPack 5 and later: `in1_label`, `in1_input` (mV), `curr1_input` (mA) below `hwmon`; JetPack 4:
    `rail_name_0`, `in_voltage0_input`, `in_current0_input` below `iio:device`.
    """
    rails: dict[str, Rail] = {}
    for label in sorted((root / _DRIVERS).glob("ina3221*/*/hwmon/hwmon*/in[123]_label")):
        number = label.name[2]
        _add(rails, label, f"in{number}_input", f"curr{number}_input")
    for label in sorted((root / _DRIVERS).glob("ina3221*/*/iio:device*/rail_name_[012]")):
        number = label.name[-1]
        _add(rails, label, f"in_voltage{number}_input", f"in_current{number}_input")
    return rails


def _add(rails: dict[str, Rail], label: Path, voltage: str, current: str) -> None:
    try:
        name = label.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return
    # Channels that lead nowhere are called NC (not connected).
    if name not in ("", "NC"):
        rails[name] = Rail(name, label.with_name(voltage), label.with_name(current))
