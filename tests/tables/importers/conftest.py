from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.tables import LatencyTable
from hwtickets.tables.importers import Import, import_table

SAMPLES = Path(__file__).parents[2] / "data" / "importers"


@pytest.fixture
def samples() -> Path:
    return SAMPLES


@pytest.fixture
def imported() -> Callable[..., LatencyTable]:
    """Imports files as fp32 measurements of a board."""

    def read(*files: Path, precision: str = "fp32", **options: object) -> LatencyTable:
        return import_table(Import(files, "board", "a-runtime", precision, **options))  # type: ignore[arg-type]

    return read
