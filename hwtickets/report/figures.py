"""The interactive charts as plotly figures ({"data", "layout"}); None where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwtickets.report.chart_parts import (
    Figure,
    above,
    axis,
    dashed_line,
    error_bar,
    layout,
    padded,
    panel_title,
    plain,
    vertical,
)
from hwtickets.report.networks import SYMBOLS, Network, budget_limits, spaced_labels
from hwtickets.report.schema import Run
from hwtickets.report.tables import block_names, block_time
from hwtickets.report.wording import amount, latency_axis, prediction, quality, spaced

_BADGE_SIZES = {"square": 19, "circle": 20, "diamond": 25}
#: Share by which a machine's speed has to differ to be spoken of.
_NOTED = 0.005
_BAR_HEIGHT = 13
_PANEL_HEIGHT = 150


def latency_accuracy(networks: Sequence[Network], split: str) -> Figure | None:
    """Latency against quality: measured networks filled, predicted ones hollow, budgets as dashed lines."""
    shown = [n for n in networks if n.latency_ms is not None and n.accuracy(split) is not None]
    if not shown:
        return None
    task = shown[0].run.task
    limits = budget_limits(networks)
    ends_ms = [(n.charted_ms or 0.0) + n.charted_spread_ms[1] for n in shown]
    right = 1.08 * max(ends_ms + [limit_ms for limit_ms, _ in limits])
    chart = layout(430, f"{split.capitalize()} {task.metric} ({task.metric_unit})", latency_axis(shown))
    chart["xaxis"]["range"] = [0, right]
    chart["yaxis"]["range"] = padded([n.accuracy(split) or 0.0 for n in shown], share=0.18, least=0.5)
    chart["shapes"] = [vertical(limit_ms) for limit_ms, _ in limits]
    chart["annotations"] = [above(x, f"≤ {spaced(text)}") for x, text in spaced_labels(limits, right)]
    return {"data": [_badge(network, split) for network in shown], "layout": chart}


def predicted_measured(networks: Sequence[Network]) -> Figure | None:
    """Predicted against measured latency with error bars, and the line where both agree; rings are draws."""
    shown = [
        n for n in networks if n.ticket and n.ticket.predicted_ms is not None and n.measured_ms is not None
    ]
    rings = [ring for ring in map(_rings, networks) if ring is not None]
    data = rings + [_prediction(network) for network in shown]
    if not data:
        return None
    values = [value for ring in rings for name in ("x", "y") for value in ring[name]]
    values += [end for network in shown for end in (*network.reach_ms, *network.predicted_reach_ms)]
    low, high = padded(values, share=0.08, least=0.02 * max(values))
    chart = layout(430, "Measured, median (ms)", "Predicted from the latency table (ms)")
    chart["xaxis"]["range"] = chart["yaxis"]["range"] = [low, high]
    chart["shapes"] = [dashed_line("x", "y", low, high, low, high)]
    return {"data": data, "layout": chart}


def block_times(networks: Sequence[Network]) -> Figure | None:
    """Where the time goes: for each block one bar a network, the dense one first."""
    timed = [network for network in networks if any(block.ms is not None for block in network.source.blocks)]
    if not timed:
        return None
    names = block_names(timed)
    measured = any(network.measured_ms is not None for network in timed)
    time = "Time in the block (ms)" if measured else "Predicted time in the block, not measured (ms)"
    chart = layout(90 + len(names) * (len(timed) * _BAR_HEIGHT + 14), "", time)
    chart |= {"barmode": "group", "bargap": 0.28, "bargroupgap": 0.08}
    chart["margin"]["t"] = 4
    # Plotly would put the first block and the first network at the bottom.
    chart["yaxis"] |= {"autorange": "reversed", "showgrid": False}
    return {"data": [_bars(network, names) for network in timed], "layout": chart}


def search_course(run: Run) -> Figure | None:
    """The search over its optimizer steps, one panel for each quantity that was recorded."""
    wanted = (
        ("Expected latency (% of dense)", "latency_share", 100.0, "#2563eb"),
        ("Strength of the latency price", "strength", 1.0, "#7c3aed"),
        ("Training loss", "loss", 1.0, "#475569"),
        (f"Validation {run.task.metric} ({run.task.metric_unit})", "validation", 1.0, "#0f766e"),
    )
    panels = [(title, key, _recorded(run, key, scale), colour) for title, key, scale, colour in wanted]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        return None
    chart = layout(60 + _PANEL_HEIGHT * len(panels), "", "Optimizer step")
    chart |= {"annotations": [], "shapes": [], "hovermode": "x"}
    chart["margin"]["t"] = 4
    chart["xaxis"] |= {"anchor": f"y{len(panels)}", "showgrid": False}
    del chart["yaxis"]
    for index, (title, key, points, _) in enumerate(panels):
        top, bottom = 1 - index / len(panels), 1 - (index + 1) / len(panels)
        gap = 0.1 / len(panels)
        name = f"y{index + 1}"
        chart[f"yaxis{index + 1}"] = axis("") | {"domain": [bottom + gap, top - 2 * gap], "nticks": 4}
        chart[f"yaxis{index + 1}"] |= {"rangemode": "normal" if key == "validation" else "tozero"}
        chart["annotations"].append(panel_title(title, top))
        chart["shapes"] += _budget_shares(run, name, points) if key == "latency_share" else []
    data = [
        _curve(points, f"y{index}", colour, title)
        for index, (title, _, points, colour) in enumerate(panels, 1)
    ]
    return {"data": data, "layout": chart}


def _badge(network: Network, split: str) -> Figure:
    measured = network.measured_ms is not None
    value = network.accuracy(split)
    latency = (
        f"{amount('latency', network.latency_ms)} measured"
        if measured
        else f"{prediction(network)} predicted"
    )
    now = amount("latency", network.charted_ms)
    restated = [] if abs(network.pace - 1) < _NOTED else [f"{now} at the pace of the dense network"]
    quality_text = plain(quality(network.run.task, value))
    hover = "<br>".join([f"<b>{plain(network.name)}</b>", latency, *restated, quality_text])
    marker = _marker(network.colour, _BADGE_SIZES[SYMBOLS[network.role]], filled=measured)
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": [network.charted_ms],
        "y": [value],
        "text": [f"<b>{network.badge}</b>"],
        "textposition": "middle center",
        "textfont": {"size": 11, "color": "#ffffff" if measured else network.colour},
        "error_x": error_bar(network.charted_spread_ms, network.colour),
        "marker": marker | {"symbol": SYMBOLS[network.role], "opacity": 1},
        "hovertemplate": f"{hover}<extra></extra>",
    }


def _prediction(network: Network) -> Figure:
    low_ms, high_ms = network.predicted_reach_ms
    predicted_ms = (low_ms + high_ms) / 2
    expected = f"predicted {amount('latency', predicted_ms)} ± {amount('latency', high_ms - predicted_ms)}"
    measured = f"measured {amount('latency', network.measured_ms)}"
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [predicted_ms],
        "y": [network.measured_ms],
        "error_x": error_bar((predicted_ms - low_ms, high_ms - predicted_ms), network.colour),
        "error_y": error_bar(network.spread_ms, network.colour),
        "marker": _marker(network.colour, 10, filled=True) | {"symbol": SYMBOLS[network.role]},
        "hovertemplate": f"<b>{plain(network.name)}</b><br>{expected}<br>{measured}<extra></extra>",
    }


def _rings(network: Network) -> Figure | None:
    draws = [draw for draw in (network.ticket.draws if network.ticket else []) if not draw.accepted]
    points = [
        (d.index, d.predicted_ms, d.measured_ms) for d in draws if None not in (d.predicted_ms, d.measured_ms)
    ]
    if not points:
        return None
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [predicted_ms for _, predicted_ms, _ in points],
        "y": [measured_ms for _, _, measured_ms in points],
        "text": [f"{plain(network.name)}, draw {index}" for index, _, _ in points],
        "marker": _marker(network.colour, 9, filled=False),
        "hovertemplate": "%{text}<br>predicted %{x:.3g} ms<br>measured %{y:.3g} ms<extra></extra>",
    }


def _marker(colour: str, size: int, filled: bool) -> dict[str, Any]:
    line = {"color": "#ffffff" if filled else colour, "width": 1.5}
    return {"size": size, "color": colour if filled else "#ffffff", "line": line}


def _bars(network: Network, names: Sequence[str]) -> Figure:
    return {
        "type": "bar",
        "orientation": "h",
        "x": [block_time(network, name) for name in names],
        "y": [plain(name) for name in names],
        "marker": {"color": network.colour},
        "hovertemplate": f"<b>%{{y}}</b><br>{plain(network.name)}: %{{x:.3g}} ms<extra></extra>",
    }


def _recorded(run: Run, key: str, scale: float) -> list[tuple[int, float]]:
    values = [(point.step, getattr(point, key)) for point in run.history]
    return [(step, value * scale) for step, value in values if value is not None]


def _curve(points: Sequence[tuple[int, float]], y_axis: str, colour: str, title: str) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(points) < 40 else "lines",
        "x": [step for step, _ in points],
        "y": [value for _, value in points],
        "yaxis": y_axis,
        "line": {"color": colour, "width": 2},
        "marker": {"size": 5},
        "hovertemplate": f"{plain(title)}: %{{y:.3g}}<extra></extra>",
    }


def _budget_shares(run: Run, y_axis: str, points: Sequence[tuple[int, float]]) -> list[dict[str, Any]]:
    dense_ms = run.dense.latency_ms.p50 if run.dense.latency_ms else run.dense.predicted_ms
    if not dense_ms:
        return []
    shares = [100 * budget.limit / dense_ms for budget in run.budgets if budget.metric == "latency"]
    return [dashed_line("x", y_axis, points[0][0], points[-1][0], share, share) for share in shares]
