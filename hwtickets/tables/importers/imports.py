"""From files of another project to a latency table, with where every row is from and what was left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.tables.importers import hw_nas_bench, once_for_all, tensorrt, tvm_log
from hwtickets.tables.importers.collected import Collected
from hwtickets.tables.importers.sources import Source, read_source
from hwtickets.tables.table import LatencyTable

_RECOGNISERS: dict[str, Callable[[Source], bool]] = {
    "hw-nas-bench": hw_nas_bench.recognises,
    "once-for-all": once_for_all.recognises,
    "tvm": tvm_log.recognises,
    "tensorrt": tensorrt.recognises,
}
#: Names of the formats.
FORMATS = tuple(_RECOGNISERS)
#: What device, runtime and precision may be called: they become names of folders and files.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Import:
    """What is imported, and as what.

    Attributes:
        files: One table, several of the same device (once-for-all has one for each resolution), or the two
            files of an engine of TensorRT.
        device: Name of the device that was measured.
        runtime: The runtime that it was measured with.
        precision: The precision that it was measured in.
        format: One of FORMATS; None: found out from the files.
        select: Which device, where a file holds several.
        batch: Images at once, where a file may hold several.
        alignment: Channels that the runtime computes at once.
    """

    files: Sequence[Path]
    device: str
    runtime: str
    precision: str
    format: str | None = None
    select: str | None = None
    batch: int = 1
    alignment: int = 8


def import_table(asked: Import) -> LatencyTable:
    """Reads files and makes a table of them.

    The table has no calibration and states no error: nobody measured whole networks for it.

    Raises:
        HwticketsError: A file is damaged, or holds no operator that a table can hold.
        UsageError: A name or the format is not known, or the files need `select`.
    """
    for kind in ("device", "runtime", "precision"):
        if not _NAME.fullmatch(getattr(asked, kind)):
            raise UsageError(
                f"the {kind} '{getattr(asked, kind)}' is no name; use letters, digits, '.', '_' and '-'"
            )
    if not asked.files:
        raise UsageError("no file is given; name the files to import")
    sources = [read_source(path) for path in asked.files]
    form = asked.format or _format(sources)
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)
    collected = _collect(form, sources, asked)
    rows = collected.rows(best=form == "tvm")
    if not rows:
        raise HwticketsError(
            f"{sources[0].path}: nothing in it is an operator that a table can hold"
            f" (left out: {_listed(collected) or 'nothing'}); nothing was imported"
        )
    return LatencyTable(
        device=asked.device,
        runtime=asked.runtime,
        precision=asked.precision,
        batch=asked.batch,
        alignment=asked.alignment,
        fingerprint={"device": asked.device, "runtime": asked.runtime, "precision": asked.precision},
        rows=rows,
        provenance=_provenance(form, sources, collected, asked),
    )


def _format(sources: Sequence[Source]) -> str:
    fitting = [name for name, fits in _RECOGNISERS.items() if fits(sources[0])]
    if len(fitting) == 1:
        return fitting[0]
    raise UsageError(
        f"{sources[0].path} is of no format that is recognised; say which: --format {' or '.join(FORMATS)}"
    )


def _collect(form: str, sources: Sequence[Source], asked: Import) -> Collected:
    if form == "tensorrt":
        return tensorrt.collect(sources, asked.precision, asked.batch)
    readers: dict[str, Callable[[Source], Collected]] = {
        "hw-nas-bench": lambda source: hw_nas_bench.collect(source, asked.select),
        "once-for-all": once_for_all.collect,
        "tvm": lambda source: tvm_log.collect(source, asked.select, asked.precision, asked.batch),
    }
    first, *rest = (readers[form](source) for source in sources)
    for other in rest:
        first.join(other)
    return first


def _provenance(form: str, sources: Sequence[Source], collected: Collected, asked: Import) -> dict[str, Any]:
    return {
        "kind": "simulated elsewhere" if collected.simulated else "measured elsewhere",
        "imported": form,
        "files": [{"name": source.path.name, "sha256": source.sha256} for source in sources],
        **({"select": asked.select} if asked.select else {}),
        "units": collected.units,
        "skipped": dict(collected.skipped.most_common()),
        "notes": collected.notes,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _listed(collected: Collected) -> str:
    return ", ".join(f"{reason} ({count})" for reason, count in collected.skipped.most_common(6))
