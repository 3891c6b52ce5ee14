from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from hwtickets.devices import DeviceProfile, device_fingerprint, get_device
from hwtickets.errors import DeviceError, HwticketsError, UsageError
from hwtickets.progress import Progress
from hwtickets.tables import (
    LatencyTable,
    existing_table,
    find_table,
    list_tables,
    load_table,
    save_table,
    table_folder,
    table_for,
)
from hwtickets.tables.sampling import Space
from hwtickets.tables.shipped import ShippedDevice, shipped_devices

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


def _earlier(table: LatencyTable, space: Space, **changed: str) -> Path:
    """Saves a table as if it had been measured before something changed."""
    folder = table_folder(_CPU, space)
    earlier = folder.parents[1] / "cpu-0123456789" / folder.name
    save_table(replace(table, fingerprint={**device_fingerprint(_CPU), **changed}), earlier)
    return earlier


def test_a_table_of_another_state_of_the_device_is_refused_with_what_differs(
    space: Space, table: LatencyTable
) -> None:
    folder = _earlier(table, space, runtime="onnxruntime 1.0")
    with pytest.raises(
        HwticketsError, match=r"runtime: onnxruntime 1\.0 -> .*--allow-other-fingerprint"
    ) as failure:
        existing_table(space, _CPU, "fp32")
    assert str(folder) in str(failure.value)
    assert existing_table(space, _CPU, "fp32", other=True).rows == table.rows
    assert table_for(space, _CPU, "fp32", Progress(quiet=True), other=True).rows == table.rows


def test_what_does_not_change_latencies_does_not_matter(space: Space, table: LatencyTable) -> None:
    folder = _earlier(table, space, python="2.7")
    assert table_for(space, _CPU, "fp32", Progress(quiet=True), given=folder).rows == table.rows


def test_a_table_that_is_named_is_held_against_the_device_too(space: Space, table: LatencyTable) -> None:
    folder = _earlier(table, space, threads="4")
    with pytest.raises(HwticketsError, match=r"threads: 4 -> 1.*--allow-other-fingerprint"):
        table_for(space, _CPU, "fp32", Progress(quiet=True), given=folder)
    assert table_for(space, _CPU, "fp32", Progress(quiet=True), folder, other=True).rows == table.rows


def test_without_a_table_there_is_the_command_that_builds_one(space: Space) -> None:
    with pytest.raises(HwticketsError, match=r"there is no table .*hwtickets table build --device cpu"):
        existing_table(space, _CPU, "fp32")


def test_a_device_without_board_and_table_cannot_be_predicted(space: Space) -> None:
    device = DeviceProfile(name="unheard-of", description="", connection="none", runtime="trtexec")
    with pytest.raises(DeviceError, match="there is no latency table of unheard-of for trtexec at fp32"):
        table_for(space, device, "fp32", Progress(quiet=True))


@pytest.mark.parametrize("shipped", shipped_devices(), ids=lambda device: device.name)
def test_a_shipped_device_is_predicted_from_its_first_table(space: Space, shipped: ShippedDevice) -> None:
    device = get_device(shipped.name)
    found = table_for(space, device, device.precisions[0], Progress(quiet=True))
    assert (found.device, found.runtime, found.batch) == (shipped.name, shipped.default.runtime, 1)


def test_every_table_of_a_device_is_listed_with_its_origin(space: Space, table: LatencyTable) -> None:
    save_table(table, table_folder(_CPU, space))
    _earlier(table, space, runtime="onnxruntime 1.0")
    listed = list_tables(_CPU)
    assert [entry["table"] for entry in listed] == ["cpu/onnxruntime-fp32"] * 2
    assert listed[0]["error"] == dict(table.error) and listed[0]["provenance"]["seed"] == 0
    assert "runtime: onnxruntime 1.0" in str(listed[0]["differences"] + listed[1]["differences"])


def _imported(table: LatencyTable, home: Path, name: str, source: str) -> Path:
    """Saves a table as an import does."""
    folder = home / "tables" / f"{name}-imported" / source
    save_table(replace(table, device=name, fingerprint={"device": name}), folder)
    return folder


class _NoProgress(Progress):
    """Ends the work where it would begin to measure."""

    def stage(self, name: str, total: int | None = None, unit: str = "step", done: int = 0) -> NoReturn:
        raise KeyboardInterrupt


def test_before_another_table_is_measured_the_option_that_keeps_the_old_one_is_named(
    space: Space, table: LatencyTable
) -> None:
    folder = _earlier(table, space, runtime="onnxruntime 1.0")
    said = io.StringIO()
    with pytest.raises(KeyboardInterrupt):
        table_for(space, _CPU, "fp32", _NoProgress(stream=said))
    assert f"measuring a new table: that in {folder} is of another state" in said.getvalue()
    assert said.getvalue().strip().endswith("); --allow-other-fingerprint keeps to the old one")


def test_a_precision_without_a_table_names_those_that_have_one(space: Space, table: LatencyTable) -> None:
    save_table(table, table_folder(_CPU, space))
    with pytest.raises(HwticketsError, match=r"for cpu at int8, only at fp32; build .*--precision int8"):
        existing_table(space, _CPU, "int8")


def _damage(table: LatencyTable, home: Path, folder: str) -> Path:
    place = home / "tables" / folder
    save_table(replace(table, device=folder.rpartition("-")[0]), place / "toy-01234567")
    (place / "toy-01234567" / "device.yaml").write_text("tables: {")
    return place / "toy-01234567" / "device.yaml"


def test_a_damaged_table_is_no_matter_of_other_devices(space: Space, table: LatencyTable, home: Path) -> None:
    save_table(table, table_folder(_CPU, space))
    _damage(table, home, "cpu-nano-0123456789")
    assert find_table(_CPU, space) == table
    assert [entry["table"] for entry in list_tables(_CPU)] == ["cpu/onnxruntime-fp32"]
    with pytest.raises(HwticketsError, match="there is no table of this supernet"):
        existing_table(space, _CPU.model_copy(update={"threads": 7}), "int8")


def test_a_damaged_table_is_listed_beside_the_others(space: Space, table: LatencyTable, home: Path) -> None:
    save_table(table, table_folder(_CPU, space))
    file = _damage(table, home, "cpu-0123456789")
    damaged, sound = sorted(list_tables(_CPU), key=lambda entry: "table" in entry)
    assert sound["rows"] == len(table.rows) and sound["kind"] == "measured"
    assert set(damaged) == {"folder", "damaged"} and str(file) in damaged["damaged"]


def test_what_is_damaged_can_be_built_again_in_its_place(
    space: Space, table: LatencyTable, home: Path
) -> None:
    file = _damage(table, home, "cpu-0123456789")
    save_table(table, file.parent)
    assert load_table(file.parent, "onnxruntime", "fp32") == table


def test_no_row_is_read_to_list_a_table(space: Space, table: LatencyTable) -> None:
    folder = table_folder(_CPU, space)
    save_table(table, folder)
    (folder / "onnxruntime-fp32.csv").unlink()
    (listed,) = list_tables(_CPU)
    assert (listed["rows"], listed["alignment"]) == (len(table.rows), 16)


def test_an_imported_table_is_found_whatever_its_runtime(
    space: Space, table: LatencyTable, home: Path
) -> None:
    """The profile is of the runtime that was imported first."""
    device = _CPU.model_copy(update={"name": "note", "connection": "none", "runtime": "tvm"})
    half = replace(table, runtime="trtexec", precision="fp16")
    folder = _imported(half, home, "note", "tensorrt-1")
    quiet = Progress(quiet=True)
    for found in (table_for(space, device, "fp16", quiet), table_for(space, device, "fp16", quiet, folder)):
        assert (found.runtime, found.precision) == ("trtexec", "fp16")
    jetson = get_device("jetson")
    _imported(half, home, jetson.name, "tensorrt-1")
    assert table_for(space, jetson, "fp16", quiet).runtime == "trtexec", "not the shipped one"


def test_an_imported_table_describes_a_device_and_two_must_be_told_apart(
    space: Space, table: LatencyTable, home: Path
) -> None:
    device = _CPU.model_copy(update={"name": "note", "connection": "none"})
    first = _imported(table, home, "note", "tvm-1")
    _imported(table, home, "note-ten", "tvm-3")
    assert table_for(space, device, "fp32", Progress(quiet=True)).device == "note"
    second = _imported(table, home, "note", "tvm-2")
    with pytest.raises(
        UsageError, match=re.escape(f"name one with --table: {first} (onnxruntime), {second} (onnxruntime)")
    ):
        table_for(space, device, "fp32", Progress(quiet=True))
    assert table_for(space, device, "fp32", Progress(quiet=True), given=second).device == "note"
