"""Several reports as one, so that runs and devices stand on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hwtickets.errors import UsageError
from hwtickets.report.schema import SCHEMA, Document, read_report


def merge_reports(reports: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Joins the runs of several reports; the same run given twice is shown once.

    Args:
        reports: Reports of single runs or merged ones.

    Returns:
        A single report as it is; several as {"schema", "title", "created", "runs": [report, ...]}.

    Raises:
        UsageError: No report is given, or the runs count their quality in different metrics.
        HwticketsError: A report is not valid.
    """
    documents = [read_report(report, f"report {number}") for number, report in enumerate(reports, 1)]
    if not documents:
        raise UsageError("no report to show; name at least one run folder")
    _check_comparable(documents)
    runs: list[dict[str, Any]] = []
    for report in reports:
        runs += [run for run in report.get("runs", [dict(report)]) if run not in runs]
    if len(runs) == 1:
        return runs[0]
    created = max(document.created for document in documents)
    return {"schema": SCHEMA, "title": f"{len(runs)} runs compared", "created": created, "runs": runs}


def _check_comparable(documents: Sequence[Document]) -> None:
    metrics = {
        f"{run.task.metric} ({run.task.metric_unit})" for document in documents for run in document.runs
    }
    if len(metrics) > 1:
        raise UsageError(
            f"cannot compare runs with different metrics: {', '.join(sorted(metrics))}; report them apart"
        )
