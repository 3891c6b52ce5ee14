"""The chart of latency against accuracy as a picture, for a README or a paper draft."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from textwrap import wrap
from typing import TYPE_CHECKING

from hwtickets.report.chart_parts import GRID, INK, MUTED
from hwtickets.report.networks import (
    Network,
    Role,
    budget_limits,
    list_networks,
    quality_split,
    spaced_labels,
)
from hwtickets.report.schema import Document
from hwtickets.report.wording import NOT_MEASURED, latency_axis, spaced, verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS: dict[Role, tuple[str, int]] = {"dense": ("s", 230), "ticket": ("o", 260), "comparison": ("D", 220)}
_DOTS_PER_INCH = 150


def render_png(document: Document) -> bytes:
    """The picture, 1350 px wide; without any point it says so instead of showing empty axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    networks = list_networks(document)
    split = quality_split(networks)
    shown = [n for n in networks if n.accuracy(split) is not None and n.latency_ms is not None]
    legend_height = 0.27 * ((len(shown) + 1) // 2)
    figure = Figure(
        figsize=(9.0, 4.9 + legend_height), dpi=_DOTS_PER_INCH, facecolor="white", layout="constrained"
    )
    axes = figure.add_subplot()
    _style(axes)
    task = document.runs[0].task
    axes.set_title(_title(document, networks), loc="left", color=INK, fontsize=11, pad=24)
    axes.set_xlabel(latency_axis(shown))
    axes.set_ylabel(_literal(f"{split.capitalize()} {task.metric} ({task.metric_unit})"))
    if shown:
        _points(axes, shown, split)
        _limits(axes, networks)
        figure.legend(
            loc="outside lower left", ncols=2, frameon=False, fontsize=9, labelcolor=INK, markerscale=0.6
        )
    else:
        axes.text(
            0.5,
            0.5,
            f"latency or accuracy {NOT_MEASURED}",
            transform=axes.transAxes,
            ha="center",
            color=MUTED,
        )
        axes.set(xticks=[], yticks=[])
    picture = BytesIO()
    FigureCanvasAgg(figure).print_png(picture)
    return picture.getvalue()


def _title(document: Document, networks: list[Network]) -> str:
    title = document.title if len(document.runs) > 1 else verdict(document.runs[0], networks)
    return _literal("\n".join(wrap(title, width=100, break_on_hyphens=False)))


def _literal(text: str) -> str:
    # matplotlib reads what stands between two dollar signs as a formula.
    return text.replace("$", r"\$")


def _style(axes: Axes) -> None:
    axes.grid(color=GRID, linewidth=0.9)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, length=0, labelsize=9.5)
    axes.xaxis.label.set_color(MUTED)
    axes.yaxis.label.set_color(MUTED)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#cbd5e1")


def _points(axes: Axes, shown: Sequence[Network], split: str) -> None:
    for network in shown:
        x, y = network.charted_ms or 0.0, network.accuracy(split) or 0.0
        measured = network.measured_ms is not None
        marker, size = _MARKERS[network.role]
        face, ink = (network.colour, "white") if measured else ("white", network.colour)
        label = f"{network.badge}  {_literal(network.name)}" + ("" if measured else " (predicted)")
        down, up = network.charted_spread_ms
        axes.errorbar([x], [y], xerr=[[down], [up]], color=network.colour, capsize=3, linewidth=1.4, zorder=2)
        edge = "white" if measured else network.colour
        axes.scatter([x], [y], s=size, marker=marker, color=face, edgecolors=edge, label=label, zorder=3)
        axes.annotate(
            network.badge,
            (x, y),
            ha="center",
            va="center_baseline",
            color=ink,
            fontsize=9,
            weight="bold",
            zorder=4,
        )
    axes.margins(x=0.08, y=0.2)
    axes.set_xlim(left=0)


def _limits(axes: Axes, networks: Sequence[Network]) -> None:
    from matplotlib.transforms import blended_transform_factory

    limits = budget_limits(networks)
    for limit_ms, _ in limits:
        axes.axvline(limit_ms, color="#94a3b8", linewidth=1.2, linestyle="--", zorder=1)
    above = blended_transform_factory(axes.transData, axes.transAxes)
    for limit_ms, text in spaced_labels(limits, axes.get_xlim()[1]):
        axes.text(
            limit_ms,
            1.015,
            _literal(f"≤ {spaced(text)}"),
            transform=above,
            ha="center",
            color=MUTED,
            fontsize=9,
        )
