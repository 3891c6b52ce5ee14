"""Which rooms may know of which: the arrows of the design that a slip would turn around."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "hwtickets"
ROOMS = {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}
#: From a search on upwards, each knows those before it.
UPPER = ("search", "recipes", "main_job", "api", "cli")
#: Rooms that know no other room.
LEAVES = ("power", "report", "tasks")
BELOW = ("costs", "deploy", "devices", "modules", "prediction", "runtimes", "sparsity", "tables")
#: What a room never imports, not even within a function.
FORBIDDEN = {
    **{room: ROOMS - {room} for room in LEAVES},
    **{room: {*UPPER, "report"} for room in (*BELOW, "training")},
    **{room: {*UPPER, "report", "tasks", "training"} for room in ("space", "supernets")},
    "search": {*UPPER[1:], "report"},
    "recipes": {*UPPER[2:], "report"},
    "main_job": {*UPPER[3:]},
}


def imported(path: Path) -> set[str]:
    """Rooms, and modules beside them, that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("hwtickets.")}


@pytest.mark.parametrize("room", sorted(FORBIDDEN))
def test_no_room_reaches_up(room: str) -> None:
    reached = {
        f"{path.relative_to(PACKAGE)} -> {other}"
        for path in (PACKAGE / room).rglob("*.py")
        for other in imported(path) & FORBIDDEN[room]
    }
    assert not reached


def test_every_room_has_its_arrows() -> None:
    assert {*FORBIDDEN, "cli"} == ROOMS
