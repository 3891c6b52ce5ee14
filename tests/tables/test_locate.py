from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.devices import get_device
from hwtickets.progress import Progress
from hwtickets.tables import LatencyTable, find_table, save_table, table_folder, table_for
from hwtickets.tables.sampling import Space

_CPU = get_device("cpu").model_copy(update={"alignment": 16})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    return tmp_path


def test_a_table_is_found_for_its_own_device_and_space_only(
    space: Space, table: LatencyTable, home: Path
) -> None:
    assert find_table(_CPU, space) is None
    folder = table_folder(_CPU, space)
    assert folder.is_relative_to(home)
    save_table(table, folder)
    assert find_table(_CPU, space) == table
    assert find_table(_CPU.model_copy(update={"threads": 7}), space) is None


def test_a_stored_table_is_used_instead_of_measuring_again(space: Space, table: LatencyTable) -> None:
    save_table(table, table_folder(_CPU, space))
    assert table_for(space, _CPU, "fp32", Progress(quiet=True)) == table
