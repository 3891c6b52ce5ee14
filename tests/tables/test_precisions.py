from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.devices import DeviceProfile, device_fingerprint, get_device
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.space.space import space_of
from hwtickets.supernets import build_supernet
from hwtickets.tables import LatencyTable, Row, save_table, table_folder
from hwtickets.tables.folders import space_folder
from hwtickets.tables.precisions import precision_of_space, precision_of_supernet
from hwtickets.tables.sampling import Space

_BOARD = get_device("cpu").model_copy(update={"name": "orin", "precisions": ("fp32", "fp16", "bf16")})


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    return tmp_path


def _meant(space: Space, device: DeviceProfile = _BOARD) -> tuple[str, str]:
    """The precision for a space, which is that for its supernet, and what was said."""
    said = io.StringIO()
    found = precision_of_space(device, space, Progress(stream=said))
    assert precision_of_supernet(device, space.name, Progress(quiet=True)) == found
    return found, said.getvalue().strip()


def _measured(table: LatencyTable, space: Space, home: Path, *precisions: str, name: str = "orin") -> None:
    for precision in precisions:
        folder = home / "tables" / f"{name}-0123456789" / space_folder(space)
        save_table(replace(table, device=name, precision=precision), folder)


def test_the_only_precision_that_was_measured_is_meant_and_that_is_said(
    space: Space, table: LatencyTable, home: Path
) -> None:
    assert _meant(space) == ("fp32", "")
    _measured(table, space, home, "fp16")
    assert _meant(space) == ("fp16", "precision fp16: orin has a table of toy at no other one")
    _measured(table, space, home, "fp32")
    assert _meant(space) == ("fp32", "")


def test_several_precisions_without_the_devices_own_are_listed(
    space: Space, table: LatencyTable, home: Path
) -> None:
    _measured(table, space, home, "fp16", "bf16")
    with pytest.raises(UsageError, match="orin has tables of toy at fp16, bf16 and none at fp32; say which"):
        _meant(space)


def test_tables_of_other_devices_runtimes_and_batches_do_not_count(
    space: Space, table: LatencyTable, home: Path
) -> None:
    _measured(table, space, home, "fp16", name="orin-nano")
    _measured(replace(table, runtime="trtexec"), space, home, "fp16")
    _measured(replace(table, batch=8), space, home, "fp16")
    assert _meant(space) == ("fp32", "")


def test_int8_tables_are_for_a_check_but_nothing_is_deployed_in_graphs_of_their_own(
    space: Space, table: LatencyTable, home: Path
) -> None:
    cpu = get_device("cpu")
    _measured(table, space, home, "int8", name="cpu")
    assert precision_of_space(cpu, space, Progress(quiet=True)) == "int8"
    assert precision_of_supernet(cpu, space.name, Progress(quiet=True)) == "fp32"


def test_a_table_is_checked_at_the_precision_that_it_was_built_at(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"stem_channels": 8, "stages": [[16, 1, 1]], "kernel_sizes": [3], "expand_ratio": 2}
    small = space_of(build_supernet("mobile", (1, 12, 12), 10, sizes), "mobile")
    rows = {operator.spec: Row(0.01) for operator in small.graph(small.dense())}
    cpu = get_device("cpu")
    fingerprint = device_fingerprint(cpu, "int8")
    table = LatencyTable("cpu", cpu.runtime, "int8", 1, cpu.alignment, fingerprint, rows)
    save_table(table, table_folder(cpu, small, "int8"))
    options = [part for key, value in sizes.items() for part in ("--set", f"{key}={json.dumps(value)}")]
    line = ["table", "check", "--device", "cpu", "--input", "1x12x12", "--samples", "1", "--json", *options]
    assert run(line) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["networks"], found["differences"]) == (1, [])
    assert "kendall_tau" not in found["error"], "one network has no rank"
    assert "precision int8: cpu has a table of mobile at no other one" in captured.err
