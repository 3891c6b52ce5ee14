from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hwtickets.devices import get_device
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.files import FolderLock
from hwtickets.progress import Progress, Stage
from hwtickets.tables import build_table, load_table
from hwtickets.tables.sampling import Space, corner_networks

_CPU = get_device("cpu").model_copy(update={"alignment": 8})
_QUIET = Progress(quiet=True)


class _Killed(BaseException):
    pass


class _DyingStage(Stage):
    """Ends the process, as it were, after 25 networks."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        super().advance(steps, note)
        if self.done >= 25:
            raise _Killed


class _DyingProgress(Progress):
    @contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "step", done: int = 0
    ) -> Iterator[Stage]:
        yield _DyingStage(name, total, unit, done)


def test_a_built_table_knows_all_operators_of_its_space_and_its_own_error(
    space: Space, tmp_path: Path
) -> None:
    table = build_table(space, _CPU, tmp_path, _QUIET, networks=20)
    for graph in corner_networks(space):
        assert table.predict(graph).kinds == {"measured": len(graph)}
        assert table.predict(graph).ms > 0
    assert {"median_error", "within_10", "kendall_tau", "macs_median_error"} <= set(table.error)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table
    assert "discarded_runs" in table.provenance
    assert table.provenance["networks"] <= table.provenance["most_networks"] == 22
    assert table.provenance["stopped"] in ("accurate", "no longer improving", "most networks")
    assert not list(tmp_path.glob("*.partial.jsonl"))


def test_a_killed_build_goes_on_where_it_was(space: Space, tmp_path: Path) -> None:
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(quiet=True), networks=12)
    (partial,) = tmp_path.glob("*.partial.jsonl")
    kept = [json.loads(line) for line in partial.read_text().splitlines()]
    assert [record["kind"] for record in kept[1:] if record["kind"] == "batch"] == ["batch"]
    assert len(kept) == 2 + 25, "the plan, its first batch, and 25 measurements"
    table = build_table(space, _CPU, tmp_path, _QUIET, networks=12)
    assert table.rows
    assert not partial.exists()


def test_a_folder_in_use_is_left_alone(space: Space, tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(HwticketsError, match="in use"):
        build_table(space, _CPU, tmp_path, _QUIET, networks=1)
    assert not (tmp_path / "device.yaml").exists()


@pytest.mark.parametrize(
    "change", [{"connection": "none"}, {"runtime": "tensorrt"}, {"precisions": ("int8",)}]
)
def test_a_device_that_cannot_be_measured_from_here_is_refused(
    space: Space, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(DeviceError, match=r"can(not)? be measured|is missing on this machine"):
        build_table(space, _CPU.model_copy(update=change), tmp_path, _QUIET)
