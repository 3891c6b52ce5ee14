"""The building blocks of the HTML page: each gives a piece of markup, with every text escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape

from hwtickets.report.chart_parts import Figure
from hwtickets.report.networks import SYMBOLS, Network
from hwtickets.report.tables import Cell, Table
from hwtickets.report.wording import NOT_MEASURED


def card(title: str, hint: str, content: str) -> str:
    """A titled box, `hint` a quiet line under the title; nothing without content."""
    if not content:
        return ""
    note = f'<p class="hint">{escape(hint)}</p>' if hint else ""
    return f'<section class="card"><h3>{escape(title)}</h3>{note}{content}</section>'


def pair(left: str, right: str) -> str:
    """Two columns on a wide page; one side may be empty."""
    return f'<div class="pair"><div>{left}</div><div>{right}</div></div>' if left and right else left + right


def grid(pieces: Sequence[str]) -> str:
    """Pieces side by side, as many as there is room for."""
    return f'<div class="grid">{"".join(f"<div>{piece}</div>" for piece in pieces)}</div>' if pieces else ""


def tied(text: str) -> str:
    """Escaped text in which no line ends between a number and its unit."""
    return escape(re.sub(r"(?<=≤) |(?<=\d) (?=(?:%|×|[kMG]?B|[kMG]|ms|s|min|h)(?!\w))", "\u00a0", text))


def absent(reason: str) -> str:
    """Stands in for what cannot be shown."""
    return f'<p class="hint">Not shown: {escape(reason)}.</p>'


def chart(figure: Figure) -> str:
    """A place for a chart with its data; the page's script draws it."""
    # "<" inside a script element could end it.
    data = json.dumps(figure, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
    height = figure["layout"]["height"]
    return (
        f'<div class="chart" style="height:{height}px"><script type="application/json">{data}</script></div>'
    )


def legend(networks: Sequence[Network], dashed: str = "", ring: str = "") -> str:
    """Names the marks of a chart, and its dashed lines and rings where it has any."""
    items = [f"<li>{badge(network)}{escape(network.name)}</li>" for network in networks]
    items += [f'<li><span class="dashed"></span>{escape(dashed)}</li>'] if dashed else []
    items += [f'<li><span class="ring"></span>{escape(ring)}</li>'] if ring else []
    return f'<ul class="legend">{"".join(items)}</ul>'


def marks_of(marks: Sequence[tuple[str, str, str, str]]) -> str:
    """A legend of (letter, form, colour, what it stands for)."""
    items = [
        f'<li><span class="badge {form}" style="background:{colour}">{escape(letter)}</span>'
        f"{escape(text)}</li>"
        for letter, form, colour, text in marks
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def badge(network: Network) -> str:
    """A network's mark, as on the charts."""
    form = SYMBOLS[network.role]
    return f'<span class="badge {form}" style="background:{network.colour}">{escape(network.badge)}</span>'


def table(content: Table, kind: str) -> str:
    """A table of the CSS class `kind`; nothing if it has no rows."""
    if not content.rows:
        return ""
    head = "".join(f"<th>{escape(column)}</th>" for column in content.columns)
    rows = [
        "".join(_cell(cell, label, kind) for cell, label in zip(row, content.columns, strict=True))
        for row in content.rows
    ]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    inner = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="scroll"><table class="{kind}">{inner}</table></div>'


def facts(content: Table) -> str:
    """A table of names and values, its first column title above it; nothing if it has no rows."""
    return f"<h4>{escape(content.columns[0])}</h4>{table(content, 'facts')}" if content.rows else ""


def _cell(cell: Cell, label: str, kind: str) -> str:
    note = f'<span class="note">{tied(cell.note)}</span>' if cell.note else ""
    text = f'<a href="{escape(cell.link)}">{tied(cell.text)}</a>' if cell.link else tied(cell.text)
    content = text + note
    if cell.network:
        content = f'<span class="named">{badge(cell.network)}<span>{content}</span></span>'
    if cell.fill is not None and kind == "bars":
        content = f'<span class="bar"><i style="width:{70 * cell.fill:.1f}%"></i>{content}</span>'
    shade = f' style="{_shade(cell.fill)}"' if cell.fill is not None and kind == "heat" else ""
    quiet = ' class="absent"' if cell.text == NOT_MEASURED else ""
    return f'<td data-label="{escape(label)}"{quiet}{shade}>{content}</td>'


def _shade(fill: float) -> str:
    return (
        f"background:rgba(37,99,235,{0.1 + 0.45 * fill:.2f})" if fill else "background:#f4f6f9;color:#94a3b8"
    )
