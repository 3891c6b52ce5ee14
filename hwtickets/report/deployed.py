"""Deployed networks over devices, runtimes and precisions: one chart and one table for a whole page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwtickets.report.chart_parts import Figure, error_bar, layout, padded, plain
from hwtickets.report.deployment import Deployment
from hwtickets.report.schema import Document, Run
from hwtickets.report.tables import Cell, Table
from hwtickets.report.wording import NOT_MEASURED, amount, interval, quality, share

_COLOURS = ("#2563eb", "#c2570c", "#0f766e", "#7c3aed", "#be185d", "#475569", "#92700c", "#0369a1")
#: Marks by precision: as plotly and as the style sheet call them.
_SYMBOLS = {"fp32": "circle", "fp16": "diamond", "bf16": "pentagon", "int8": "square", "mixed": "hexagon"}


@dataclass(frozen=True)
class Deployed:
    """One deployed network on the page.

    Attributes:
        badge: Its letter on the chart and in the table.
        colour: Of its device and runtime, as "#rrggbb".
        symbol: Of its precision, as plotly calls it.
        run: The run that it belongs to.
        found: What was measured.
    """

    badge: str
    colour: str
    symbol: str
    run: Run
    found: Deployment

    @property
    def where(self) -> str:
        """Device, runtime and precision."""
        return f"{self.found.device} · {self.found.runtime} · {self.found.precision}"


def list_deployed(document: Document) -> list[Deployed]:
    """All deployed networks of a page, run by run."""
    every = [(run, found) for run in document.runs for found in run.deployments]
    places = list(dict.fromkeys((found.device, found.runtime) for _, found in every))
    return [
        Deployed(
            _letter(index),
            _COLOURS[places.index((found.device, found.runtime)) % len(_COLOURS)],
            _SYMBOLS.get(found.precision, "octagon"),
            run,
            found,
        )
        for index, (run, found) in enumerate(every)
    ]


def deployed_chart(deployed: Sequence[Deployed]) -> Figure | None:
    """Latency against the score on validation images; None where no network was verified.

    The colour tells device and runtime, the mark's form the precision. Latencies of several devices may lie
    far apart: then the axis counts in powers of ten.
    """
    shown = [one for one in deployed if one.found.score is not None]
    if not shown:
        return None
    task = shown[0].run.task
    title = f"{task.metric[:1].upper()}{task.metric[1:]} on validation samples ({task.metric_unit})"
    chart = layout(400, title, "Latency, batch 1 (ms)")
    medians_ms = [one.found.latency_ms.p50 for one in shown]
    if min(medians_ms) > 0 and max(medians_ms) > 20 * min(medians_ms):
        low, high = math.log10(min(medians_ms)), math.log10(max(medians_ms))
        chart["xaxis"] |= {"type": "log", "range": [low - 0.2, high + 0.2]}
    else:
        chart["xaxis"]["range"] = [
            0,
            1.12 * max(one.found.latency_ms.p90 or one.found.latency_ms.p50 for one in shown),
        ]
    chart["yaxis"]["range"] = padded([one.found.score or 0.0 for one in shown], share=0.18, least=0.5)
    return {"data": [_mark(one) for one in shown], "layout": chart}


def deployed_table(deployed: Sequence[Deployed]) -> Table:
    """One row a deployed network, with a link to its layers."""
    columns = ("Deployed", "Latency", "Of dense", "Score", "PyTorch", "Energy", "Memory", "Size", "Layers")
    several = len({id(one.run) for one in deployed}) > 1
    return Table(columns, [_row(one, several) for one in deployed])


def _row(one: Deployed, several: bool) -> tuple[Cell, ...]:
    found, task = one.found, one.run.task
    latency, ratio = found.latency_ms, found.ratio
    name = f"{one.run.title}: {found.name}" if several else found.name
    images = found.unscored if found.images is None else f"{found.images} images"
    return (
        Cell(f"{one.badge}  {name}", one.where),
        Cell(amount("latency", latency.p50), interval(latency.p10, latency.p90)),
        Cell(share(ratio), interval(ratio.low, ratio.high) if ratio else ""),
        Cell(quality(task, found.score), images),
        Cell(quality(task, found.score_of_pytorch)),
        Cell(amount("energy", found.energy_mj) if found.energy_mj is not None else "not available"),
        Cell(amount("size", found.peak_bytes) if found.peak_bytes is not None else "not available"),
        Cell(amount("size", found.size_bytes)),
        Cell("layers" if found.page else NOT_MEASURED, link=found.page),
    )


def _mark(one: Deployed) -> Figure:
    latency = one.found.latency_ms
    down_ms = 0.0 if latency.p10 is None else max(0.0, latency.p50 - latency.p10)
    up_ms = 0.0 if latency.p90 is None else max(0.0, latency.p90 - latency.p50)
    lines = (
        f"<b>{plain(one.found.name)}</b>",
        plain(one.where),
        f"{amount('latency', latency.p50)}, {plain(quality(one.run.task, one.found.score))}",
    )
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [latency.p50],
        "y": [one.found.score],
        "text": [f"<b>{one.badge}</b>"],
        "textposition": "middle center",
        "textfont": {"size": 11, "color": "#ffffff"},
        "error_x": error_bar((down_ms, up_ms), one.colour),
        "marker": {
            "size": 22,
            "color": one.colour,
            "symbol": one.symbol,
            "opacity": 1,
            "line": {"color": "#ffffff", "width": 1.5},
        },
        "hovertemplate": f"{'<br>'.join(lines)}<extra></extra>",
    }


def _letter(index: int) -> str:
    return chr(ord("a") + index) if index < 26 else str(index + 1)
