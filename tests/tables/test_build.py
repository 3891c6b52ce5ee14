from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwtickets.devices import get_device
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.files import FolderLock
from hwtickets.progress import Progress
from hwtickets.tables import build_table, load_table
from hwtickets.tables.sampling import Space, corner_networks

_CPU = get_device("cpu").model_copy(update={"alignment": 8})
_QUIET = Progress(quiet=True)


class _Killed(BaseException):
    pass


class _DyingProgress(Progress):
    """Ends the process, as it were, after some networks."""

    def __init__(self, after: int) -> None:
        super().__init__(quiet=True)
        self._after = after

    def stage(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def, override]
        context = super().stage(*args, **kwargs)  # type: ignore[arg-type]
        stage = context.__enter__()
        advance = stage.advance

        def dying_advance(steps: int = 1, note: str = "") -> None:
            advance(steps, note)
            if stage.done >= self._after:
                raise _Killed

        stage.advance = dying_advance  # type: ignore[method-assign]
        context.__exit__(None, None, None)
        context.__enter__ = lambda: stage
        return _Entered(stage)


class _Entered:
    def __init__(self, stage: object) -> None:
        self._stage = stage

    def __enter__(self) -> object:
        return self._stage

    def __exit__(self, *error: object) -> None:
        return None


def test_a_built_table_knows_all_operators_of_its_space_and_its_own_error(space: Space, tmp_path: Path) ->
None:
    table = build_table(space, _CPU, tmp_path, _QUIET, networks=20)
    for graph in corner_networks(space):
        assert table.predict(graph).kinds == {"measured": len(graph)}
        assert table.predict(graph).ms > 0
    assert {"median_error", "within_10", "kendall_tau", "macs_median_error"} <= set(table.error)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table
    assert not list(tmp_path.glob("*.partial.jsonl"))


def test_a_killed_build_goes_on_where_it_was(space: Space, tmp_path: Path) -> None:
    with pytest.raises(_Killed):
        build_table(space, _CPU, tmp_path, _DyingProgress(after=25), networks=12)
    (partial,) = tmp_path.glob("*.partial.jsonl")
    kept = [json.loads(line) for line in partial.read_text().splitlines()]
    assert len(kept) == 1 + 25
    table = build_table(space, _CPU, tmp_path, _QUIET, networks=12)
    assert table.rows
    assert not partial.exists()


def test_a_folder_in_use_is_left_alone(space: Space, tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(HwticketsError, match="in use"):
        build_table(space, _CPU, tmp_path, _QUIET, networks=1)
    assert not (tmp_path / "device.yaml").exists()


@pytest.mark.parametrize("change", [{"connection": "ssh"}, {"runtime": "tensorrt"}, {"precisions": ("int8",)}])
def test_a_device_that_cannot_be_measured_from_here_is_refused(
    space: Space, tmp_path: Path, change: dict[str, object]
) -> None:
    with pytest.raises(DeviceError, match="cannot be measured at fp32 from here"):
        build_table(space, _CPU.model_copy(update=change), tmp_path, _QUIET)
