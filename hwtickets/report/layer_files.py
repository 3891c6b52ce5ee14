"""The files of a benchmark: `times.json` with everything, `layers.csv` and `layers.html` as views of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets.files import write_json, write_text
from hwtickets.report.csv_files import write_csv
from hwtickets.report.deployment import PAGE, TIMES
from hwtickets.report.layers_page import CSV_TITLES, explained, render_layers


def write_benchmark(folder: Path, record: Mapping[str, Any]) -> Path:
    """Writes the three files; those of an earlier benchmark are replaced.

    Args:
        folder: Made if it is not there.
        record: `schema`, `name`, `device`, `runtime`, `precision`, `ticket`, `fingerprint`, the figures of
            the benchmark, `samples_ms` and `layers` by network.

    Returns:
        The page.
    """
    # The pages come first: a folder with times.json is complete.
    page = folder / PAGE
    write_text(page, render_layers(record))
    write_csv(folder / "layers.csv", CSV_TITLES, explained(record["layers"]))
    write_json(folder / TIMES, dict(record))
    return page
