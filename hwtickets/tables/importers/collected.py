"""Rows on their way into a table: what was taken, what was left out, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.importers.sources import Source
from hwtickets.tables.table import Row

#: No device does more multiply-accumulates in a millisecond (1e15 a second); a row that says so is damaged or
#: counted in another unit.
_MOST_MACS_A_MS = 1e12
_MOST_CHANNELS = 2**20
_MOST_PIXELS = 2**16


@dataclass(frozen=True)
class Found:
    """One operator in a source.

    Attributes:
        latency_ms: Its latency.
        spread_ms: Standard error of that; 0 where the source does not tell.
        runs: Timed runs; 1 where the source does not tell.
        energy_mj: Its energy; None where the source does not tell.
    """

    latency_ms: float
    spread_ms: float = 0.0
    runs: int = 1
    energy_mj: float | None = None


@dataclass
class Collected:
    """What a source holds.

    Attributes:
        units: The unit of the source and how it was changed, e.g. "s, times 1000".
        skipped: How many entries were left out, by reason.
        notes: What the reader of the table has to know.
        simulated: Whether the figures come from a model of the hardware.
    """

    units: str
    skipped: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    simulated: bool = False
    _found: dict[OperatorSpec, list[Found]] = field(default_factory=dict)

    def add(self, source: Source, spec: OperatorSpec, found: Found, line: int | None = None) -> None:
        """Takes an operator.

        Raises:
            HwticketsError: It is impossible.
        """
        if not _possible(spec):
            raise source.fault(f"there is no operator of the sizes {spec}", line)
        if spec.macs > found.latency_ms * _MOST_MACS_A_MS:
            raise source.fault(
                f"{found.latency_ms:g} ms is faster than any device computes {spec.macs:g} MACs; the unit is"
                " wrong",
                line,
            )
        self._found.setdefault(spec, []).append(found)

    def skip(self, reason: str) -> None:
        """Leaves something out."""
        self.skipped[reason] += 1

    def join(self, other: Collected) -> None:
        """Takes over what another file of the same device holds."""
        for spec, found in other._found.items():
            self._found.setdefault(spec, []).extend(found)
        self.skipped.update(other.skipped)
        self.notes.extend(note for note in other.notes if note not in self.notes)

    def rows(self, best: bool = False) -> dict[OperatorSpec, Row]:
        """A row for each operator.

        Args:
            best: An operator that is there several times counts with its lowest latency (several attempts);
                otherwise with the mean (several places in a network).
        """
        merge: Callable[[Sequence[Found]], Found] = _lowest if best else _mean
        return {
            spec: _row(merge(found), len(found))
            for spec, found in sorted(self._found.items(), key=lambda entry: repr(entry[0]))
        }


def _possible(spec: OperatorSpec) -> bool:
    channels = (spec.c_in, spec.c_out, spec.groups)
    pixels = (spec.height, spec.width, spec.kernel, spec.stride, spec.dilation)
    if (
        min(*channels, *pixels) < 1
        or max(*channels, spec.hidden) > _MOST_CHANNELS
        or max(pixels) > _MOST_PIXELS
    ):
        return False
    return all(count % spec.groups == 0 for count in (spec.c_in, spec.c_out, spec.hidden))


def _lowest(found: Sequence[Found]) -> Found:
    return min(found, key=lambda entry: entry.latency_ms)


def _mean(found: Sequence[Found]) -> Found:
    """The mean; its error is what the entries say of theirs or what they differ by, whichever is more."""
    latency_ms = fmean(entry.latency_ms for entry in found)
    stated_ms = math.hypot(*(entry.spread_ms for entry in found)) / len(found)
    variance = sum((entry.latency_ms - latency_ms) ** 2 for entry in found) / max(1, len(found) - 1)
    energies_mj = [entry.energy_mj for entry in found if entry.energy_mj is not None]
    return Found(
        latency_ms,
        max(stated_ms, math.sqrt(variance / len(found))),
        sum(entry.runs for entry in found),
        fmean(energies_mj) if energies_mj else None,
    )


def _row(found: Found, places: int) -> Row:
    return Row(found.latency_ms, found.spread_ms, found.runs, places, found.energy_mj)
