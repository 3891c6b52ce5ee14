"""Writes a report and its views; `report.json` is the source, the views follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwtickets.files import write_bytes, write_json, write_text
from hwtickets.report.csv_report import write_tables
from hwtickets.report.html import render_html
from hwtickets.report.markdown import render_markdown
from hwtickets.report.png import render_png
from hwtickets.report.schema import read_report

PICTURE = "latency_accuracy.png"


@dataclass(frozen=True)
class ReportFiles:
    """Where the report and its views lie."""

    json: Path
    html: Path
    markdown: Path
    png: Path


def build_views(report: Mapping[str, Any], folder: Path, csv: bool = False) -> ReportFiles:
    """Writes report.json, report.html, report.md and latency_accuracy.png.

    Args:
        report: A report of one run, or a merged one.
        folder: Made if it is not there; files of an earlier report are replaced.
        csv: Write every table as a CSV file too.

    Raises:
        HwticketsError: The report is not valid (nothing is written), or the folder cannot be written.
    """
    document = read_report(report)
    paths = ReportFiles(
        folder / "report.json", folder / "report.html", folder / "report.md", folder / PICTURE
    )
    write_json(paths.json, dict(report))
    write_text(paths.html, render_html(document))
    write_text(paths.markdown, render_markdown(document, PICTURE))
    write_bytes(paths.png, render_png(document))
    if csv:
        write_tables(document, folder)
    return paths
