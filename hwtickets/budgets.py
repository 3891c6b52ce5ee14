"""Budgets: what a ticket may cost at most, as the user writes it ("8ms", "40%", "50mJ", "300M MACs")."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from hwtickets.errors import UsageError, unknown

Metric = Literal["latency", "macs", "size", "params", "energy"]
METRICS: tuple[Metric, ...] = get_args(Metric)

# Amounts are kept in ms, MACs, bytes, parameters and mJ. Sizes in kB and MB are decimal, KiB and MiB binary.
# Prefixes are case-sensitive where it matters (M is a million; m a thousandth).
_COUNTS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}


def _counted(thing: str) -> dict[str, float]:
    spelled = {f"{prefix}{gap}{thing}": factor for prefix, factor in _COUNTS.items() for gap in ("", " ")}
    return {**_COUNTS, thing: 1.0, **spelled}


_UNITS: dict[Metric, dict[str, float]] = {
    "latency": {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "μs": 1e-3, "ms": 1.0, "s": 1e3},
    "macs": _counted("MACs"),
    "size": {
        **{"B": 1.0, "bytes": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
        **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
    },
    "params": _counted("params"),
    "energy": {"nJ": 1e-6, "uJ": 1e-3, "µJ": 1e-3, "μJ": 1e-3, "mJ": 1.0, "J": 1e3},
}
_EXAMPLES: dict[Metric, str] = {
    "latency": "8ms",
    "macs": "300M",
    "size": "2MB",
    "params": "1.5M",
    "energy": "50mJ",
}
#: Metrics that are printed in one unit, however large.
_FIXED_UNITS = {"latency": "ms", "energy": "mJ"}
_NUMBER = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf)"
_AMOUNT = re.compile(rf"\s*({_NUMBER})\s*(\S.*?)?\s*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True)
class Budget:
    """An upper limit of one cost.

    Attributes:
        metric: What is limited.
        amount: In ms, MACs, bytes, parameters or mJ; if `relative`, a share (0..1] of the dense network's
            cost.
        relative: Whether `amount` is a share.
        text: What the user wrote.
    """

    metric: Metric
    amount: float
    relative: bool
    text: str

    def limit(self, dense: float) -> float:
        """The limit in ms, MACs, bytes, parameters or mJ, given the dense network's cost in the same unit."""
        return self.amount * dense if self.relative else self.amount


def parse_budget(metric: str, text: str) -> Budget:
    """Reads a budget such as "8ms", "900us", "40%", "2MB", "1MiB", "50mJ" or "300M MACs".

    Raises:
        UsageError: The metric or unit is unknown, the unit is missing, or the amount is not a finite
            number above 0 (a share: above 0 % and at most 100 %).
    """
    known = _metric(metric)
    wanted = f'write it as "{_EXAMPLES[known]}" or "40%"'
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise UsageError(f"{known} budget '{text}' is not a number with a unit; {wanted}")
    number, unit = float(match[1]), match[2]
    if not math.isfinite(number) or number <= 0:
        raise UsageError(f"{known} budget '{text}' must be above 0; {wanted}")
    if unit is None:
        raise UsageError(f"{known} budget '{text}' has no unit; {wanted}")
    relative = unit == "%"
    amount = number / 100 if relative else number * _factor(known, unit, text)
    if relative and number > 100:
        raise UsageError(f"{known} budget '{text}' is more than the dense network (100%); {wanted}")
    if not 0 < amount < math.inf:
        raise UsageError(f"{known} budget '{text}' is outside the range of numbers; {wanted}")
    return Budget(known, amount, relative, text.strip())


def format_amount(metric: str, value: float) -> str:
    """An amount in the unit that reads best: "0.41 ms", "8.5 M MACs", "120 kB", "1.2 M parameters", "50 mJ".

    Args:
        metric: One of METRICS.
        value: In ms, MACs, bytes, parameters or mJ.
    """
    known = _metric(metric)
    if known in _FIXED_UNITS:
        return f"{_significant(value)} {_FIXED_UNITS[known]}"
    scale, prefix = _scale(abs(value))
    number = _significant(value / scale)
    if known == "size":
        return f"{number} {prefix}B"
    return f"{number} {prefix + ' ' if prefix else ''}{'MACs' if known == 'macs' else 'parameters'}"


def _metric(given: str) -> Metric:
    for metric in METRICS:
        if metric == given:
            return metric
    raise unknown("budget", given, METRICS)


def _factor(metric: Metric, unit: str, text: str) -> float:
    factor = _UNITS[metric].get(unit)
    if factor is not None:
        return factor
    shown = ", ".join([*(name for name in _UNITS[metric] if name.isascii() and " " not in name), "%"])
    raise UsageError(f"{metric} budget '{text}' has the unknown unit '{unit}'. Known: {shown}.")


def _scale(value: float) -> tuple[float, str]:
    # 999.5 and more would be printed as "1000", so the next prefix begins there.
    for scale, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * scale:
            return scale, prefix
    return 1.0, ""


def _significant(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
