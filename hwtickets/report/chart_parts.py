"""What all charts share: fonts, axes, lines, labels, error bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figure = dict[str, Any]

INK = "#1e293b"
MUTED = "#64748b"
GRID = "#e9edf2"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def layout(height: int, y_title: str, x_title: str) -> dict[str, Any]:
    """The frame of a chart, in one look; `height` in px."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 14, "t": 26, "b": 8, "autoexpand": True},
        "font": {"family": _FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "dragmode": False,
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": "#cbd5e1",
            "font": {"color": INK},
            "align": "left",
        },
        "xaxis": axis(x_title),
        "yaxis": axis(y_title),
    }


def axis(title: str) -> dict[str, Any]:
    """An axis whose labels make their own room."""
    return {
        "title": {"text": plain(title), "standoff": 10, "font": {"size": 13, "color": MUTED}},
        "automargin": True,
        "gridcolor": GRID,
        "linecolor": "#cbd5e1",
        "showline": True,
        "zeroline": False,
        "tickfont": {"color": MUTED},
        "ticks": "outside",
        "tickcolor": "rgba(0,0,0,0)",
        "ticklen": 5,
    }


def padded(values: Sequence[float], share: float, least: float) -> list[float]:
    """The range of `values` with room at both ends: a share of the range, but at least `least`."""
    low, high = min(values), max(values)
    pad = max(share * (high - low), least)
    return [low - pad, high + pad]


def dashed_line(x_axis: str, y_axis: str, x0: float, x1: float, y0: float, y1: float) -> dict[str, Any]:
    """A dashed line between two points, under the data."""
    style = {"color": "#94a3b8", "width": 1.4, "dash": "dash"}
    ends = {"xref": x_axis, "yref": y_axis, "x0": x0, "x1": x1, "y0": y0, "y1": y1}
    return {"type": "line", "layer": "below", "line": style} | ends


def vertical(limit_ms: float) -> dict[str, Any]:
    """A dashed line over the whole height at `limit_ms`."""
    return dashed_line("x", "paper", limit_ms, limit_ms, 0, 1)


def above(x: float, text: str) -> dict[str, Any]:
    """A label above the plot at `x`."""
    place = {"xref": "x", "yref": "paper", "x": x, "y": 1, "yanchor": "bottom", "xanchor": "center"}
    return place | {"text": plain(text), "showarrow": False, "font": {"size": 12, "color": MUTED}}


def panel_title(text: str, top: float) -> dict[str, Any]:
    """A title at the upper left of a panel; `top` is a share of the plot height."""
    place = {"xref": "paper", "yref": "paper", "x": 0, "y": top - 0.005, "xanchor": "left", "yanchor": "top"}
    return place | {"text": plain(text), "showarrow": False, "font": {"size": 13, "color": INK}}


def plain(text: str) -> str:
    """Text for plotly, which reads a small subset of HTML: a name must not become markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def error_bar(spread: tuple[float, float], colour: str) -> dict[str, Any]:
    """An error bar of one point, reaching (down, up)."""
    ends = {"array": [spread[1]], "arrayminus": [spread[0]]}
    return {"type": "data", "symmetric": False, "color": colour, "thickness": 1.4, "width": 5} | ends
