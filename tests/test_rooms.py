"""Which rooms may know of which: the arrows of the design that a slip would turn around."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hwtickets"
#: What a room never imports, not even within a function.
FORBIDDEN = {
    "search": ("recipes", "main_job", "report", "api", "cli"),
    "recipes": ("main_job", "report", "api", "cli"),
    "training": ("search", "recipes", "main_job", "report", "api", "cli"),
    "space": ("tasks", "training", "search", "recipes", "main_job", "report", "api", "cli"),
    "supernets": ("tasks", "training", "search", "recipes", "main_job", "report", "api", "cli"),
}


def imported(path: Path) -> set[str]:
    """Rooms of the package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        found |= {name.split(".")[1] for name in names if name.startswith("hwtickets.")}
    return found


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_reaches_up(room: str) -> None:
    reached = {
        f"{path.relative_to(PACKAGE)} -> {other}"
        for path in (PACKAGE / room).rglob("*.py")
        for other in imported(path) & set(FORBIDDEN[room])
    }
    assert not reached
