from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

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
    """Ends the process, as it were, after some measurements."""

    left = 25

    def advance(self, steps: int = 1, note: str = "") -> None:
        super().advance(steps, note)
        self.left -= steps
        if self.left <= 0:
            raise _Killed


class _DyingProgress(Progress):
    def __init__(self, quiet: bool = False, stream: TextIO | None = None, left: int = 25) -> None:
        super().__init__(quiet=quiet, stream=stream)
        self.left = left

    @contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "step", done: int = 0
    ) -> Iterator[Stage]:
        stage = _DyingStage(name, total, unit, done)
        stage.left = self.left
        yield stage


def test_a_built_table_knows_all_operators_of_its_space_and_its_own_error(
    space: Space, tmp_path: Path
) -> None:
    table = build_table(space, _CPU, tmp_path, _QUIET, networks=20)
    for graph in corner_networks(space):
        assert table.predict(graph).kinds == {"measured": len(graph)}
        assert table.predict(graph).ms > 0
    assert {"median_error", "within_10", "kendall_tau", "macs_median_error"} <= set(table.error)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table
    assert table.provenance["discarded_runs"] == 0 < table.provenance["p10_p90_share"]
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


@pytest.mark.parametrize("fresh", [False, True])
def test_a_build_begins_anew_only_where_it_is_asked_to(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(quiet=True, left=3), networks=12)
    (partial,) = tmp_path.glob("*.partial.jsonl")
    kept = partial.read_text()
    # An update that changes no latency must not cost what was measured.
    monkeypatch.setattr("platform.python_version", lambda: "3.99")
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(quiet=True, left=3), networks=12, fresh=fresh)
    assert partial.read_text().startswith(kept) is not fresh


def test_measurements_of_another_plan_are_not_dropped_in_silence(space: Space, tmp_path: Path) -> None:
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(quiet=True, left=1), networks=12)
    said = io.StringIO()
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(stream=said, left=1), seed=1, networks=12)
    assert "an unfinished build was of another plan (seed): beginning anew" in said.getvalue()


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
