"""The frame of every page: one HTML file with style and scripts inside, readable offline."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

# The policy forbids every network access, whatever a name on the page contains.
_FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline';
 style-src 'unsafe-inline'; img-src data: blob:">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
$scripts
</body>
</html>
""")


def framed(title: str, pieces: Sequence[str], sheets: Sequence[str], scripts: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: Plain text.
        pieces: Markup, one after the other; empty ones are left out.
        sheets: Names of the style sheets, as of `resource`.
        scripts: JavaScript that runs when the page is there.
    """
    return _FRAME.substitute(
        title=escape(title),
        style="".join(map(resource, sheets)),
        body="\n".join(piece for piece in pieces if piece),
        scripts="\n".join(f"<script>\n{script}</script>" for script in scripts),
    )


def resource(name: str) -> str:
    """A style sheet or script that belongs to the reports."""
    return (files("hwtickets.report") / name).read_text(encoding="utf-8")
