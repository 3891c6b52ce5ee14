"""Figures as text, with their unit; what was not measured says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from hwtickets.budgets import format_amount
from hwtickets.report.networks import Network
from hwtickets.report.schema import BudgetResult, Document, Run, Task, Ticket, Verification
from hwtickets.report.schema_parts import Ratio

NOT_MEASURED = "not measured"
_MEASURED_HINT = (
    "Latency: median of the runs, with the 10th to 90th percentile. Of dense: median of paired runs, with its"
    " 95 % interval."
)
_PREDICTED_HINT = (
    "Predicted latencies come from the latency table, with its expected error; no device showed them."
)
#: How the decisions of each task are counted, and shown.
_AGREEMENTS = {
    "top1_agreement": "{:.2%} of first classes",
    "pixel_agreement": "{:.2%} of pixels",
    "miou_agreement": "mIoU {:.4f}",
    "joint_agreement": "{:.2%} of joints",
    "keypoint_shift_px": "joints {:.3f} px off",
    "agreement": "{:.2%}",
}
_TEST_HINT = "Test: with the difference to the dense network."


def amount(metric: str, value: float | None) -> str:
    """A latency in ms, a count of MACs or parameters, or a size in bytes."""
    return NOT_MEASURED if value is None else format_amount(metric, value)


def quality(task: Task, value: float | None) -> str:
    """A value of the task's metric: "88.70 %"."""
    return NOT_MEASURED if value is None else f"{value:.2f} {task.metric_unit}".rstrip()


def place(run: Run) -> str:
    """Device, runtime and precision."""
    return f"{run.device.name} · {run.device.runtime} · {run.device.precision}"


def alike(check: Verification) -> str:
    """What an exported network decides as PyTorch does, in the task's words."""
    figures = {"top1_agreement": check.top1_agreement, **(check.model_extra or {})}
    known = [(text, figures.get(key)) for key, text in _AGREEMENTS.items()]
    return ", ".join(text.format(value) for text, value in known if value is not None) or NOT_MEASURED


def share(ratio: Ratio | None) -> str:
    """A share of the dense latency: "0.398 ×"."""
    return NOT_MEASURED if ratio is None else f"{ratio.median:.3f} ×"


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Two ends of an interval, or nothing if an end is missing."""
    return "" if low is None or high is None else f"{low:.{digits}g}–{high:.{digits}g}"


def spaced(text: str) -> str:
    """A budget as typed, with its unit set off: "40%" becomes "40 %", "8ms" becomes "8 ms"."""
    return re.sub(r"(?<=\d)(?=[%a-zA-Zµ])", " ", text)


def when(created: str) -> str:
    """An ISO time to the minute; another text as it is."""
    try:
        time = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{time:%Y-%m-%d %H:%M %Z}".strip()


def duration(seconds: float) -> str:
    """A wall time: "0.4 s", "12 s", "3 min 05 s", "1 h 02 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def plain(value: Any) -> str:
    """A value of an open record (versions, fingerprint)."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)


def table_label(name: str) -> str:
    """The name of such a figure in words: "within_10" becomes "within 10 %"."""
    words = re.sub(r"within (\d+)", r"within \1 %", name.replace("_", " "))
    return words.replace("macs", "MACs").replace("kendall", "Kendall")


def table_figure(name: str, value: Any) -> str:
    """A figure of a latency table's error record: shares ("median_error", "within_10") in percent."""
    is_share = isinstance(value, float) and ("error" in name or "within" in name) and not name.endswith("_ms")
    return f"{100 * value:.1f} %" if is_share else plain(value)


def verdicts_of(document: Document, networks: Sequence[Network]) -> list[str]:
    """One sentence a run, led by its title where there are several."""
    if len(document.runs) == 1:
        return [verdict(document.runs[0], networks)]
    return [f"{run.title}: {verdict(run, networks)}" for run in document.runs]


def notes_of(document: Document) -> list[str]:
    """The notes of all runs, each once."""
    return list(dict.fromkeys(note for run in document.runs for note in run.notes))


def verdict(run: Run, networks: Sequence[Network]) -> str:
    """The run in one sentence, about its first ticket: latency, quality, and whether the budgets are kept."""
    own = [network for network in networks if network.run is run]
    ticket = next((network for network in own if network.role == "ticket"), None)
    if ticket is None or ticket.ticket is None:
        return f"{_standing(own[0])}; no ticket was drawn."
    budgets = [_budget_outcome(budget) for budget in budgets_of(run, ticket.ticket)]
    origin = (
        [] if ticket.measured_ms is not None or ticket.latency_ms is None else [f"latencies {predicted(run)}"]
    )
    return "; ".join([f"{_standing(own[0])} → {_standing(ticket)}", *budgets, *origin]) + "."


def predicted(run: Run) -> str:
    """What must stand beside latencies that no device showed: "predicted from table X, not measured"."""
    return f"predicted{f' from table {run.table.name}' if run.table else ''}, {NOT_MEASURED}"


def latency_axis(networks: Sequence[Network]) -> str:
    """The title of an axis of latencies."""
    if any(network.measured_ms is not None for network in networks):
        return "Latency, batch 1 (ms)"
    return "Predicted latency, not measured, batch 1 (ms)"


def prediction(network: Network) -> str:
    """A predicted latency with its expected error: "5.1 ± 0.9 ms"."""
    text, error_ms = amount("latency", network.source.predicted_ms), network.source.predicted_error_ms
    return text if error_ms is None else f"{text.removesuffix(' ms')} ± {error_ms:.2g} ms"


def budgets_of(run: Run, ticket: Ticket) -> list[BudgetResult]:
    """The budgets that a ticket was drawn for."""
    wanted = [part.strip() for part in ticket.budget_text.split(",")]
    return [budget for budget in run.budgets if budget.text in wanted]


def budget_text(budget: BudgetResult) -> str:
    """A budget with its limit: "latency 40 % (0.0516 ms)"."""
    limit, text = format_amount(budget.metric, budget.limit), spaced(budget.text)
    return f"{budget.metric} {text}" + ("" if text == limit else f" ({limit})")


def networks_hint(networks: Sequence[Network]) -> str:
    """What the figures of `networks_table` are."""
    measured = any(network.measured_ms is not None for network in networks)
    only_predicted = any(n.measured_ms is None and n.latency_ms is not None for n in networks)
    hints = (measured and _MEASURED_HINT, only_predicted and _PREDICTED_HINT, _TEST_HINT)
    return " ".join(hint for hint in hints if hint)


def _standing(network: Network) -> str:
    test = network.source.accuracy.test
    split, value = ("", test) if test is not None else (" on validation", network.source.accuracy.validation)
    shown = "accuracy not measured" if value is None else f"{value:.1f} {network.run.task.metric_unit}{split}"
    return f"{network.source.label}: {_latency(network)}, {shown}"


def _latency(network: Network) -> str:
    if network.latency_ms is None:
        return "latency not measured"
    share = network.share.median if network.share else network.predicted_share
    latency = f"{amount('latency', network.latency_ms)} measured"
    if network.measured_ms is None:
        latency = f"{prediction(network)} predicted"
    return latency if share is None else f"{share:.2f}× ({latency})"


def outcome(budget: BudgetResult) -> str:
    """Whether a budget is kept, as far as that is known."""
    if budget.value is None:
        return NOT_MEASURED
    if budget.predicted:
        return "missed even by the prediction" if budget.kept is False else "predicted to be kept"
    return {True: "kept", False: "missed", None: NOT_MEASURED}[budget.kept]


def _budget_outcome(budget: BudgetResult) -> str:
    return f"{budget.metric} budget {spaced(budget.text)} {outcome(budget)}"
