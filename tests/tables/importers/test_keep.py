from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.devices import get_device
from hwtickets.errors import UsageError
from hwtickets.tables import LatencyTable, load_table
from hwtickets.tables.importers import device_of, keep

NOTE10 = "once-for-all-note10-224.yaml"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_new_device_is_one_that_tables_describe(
    imported: Callable[..., LatencyTable], samples: Path
) -> None:
    table = imported(samples / NOTE10)
    folder = keep(table, None)
    assert load_table(folder, "a-runtime", "fp32") == table
    device = get_device("board")
    assert (device.connection, device.runtime, device.precisions) == ("none", "a-runtime", ("fp32",))
    assert ("board", device.alignment) == device_of("board") == ("board", table.alignment)


def test_another_precision_is_added_to_it(imported: Callable[..., LatencyTable], samples: Path) -> None:
    keep(imported(samples / NOTE10), None)
    layers, times = samples / "trtexec-10.layers.json", samples / "trtexec-10.profile.json"
    keep(imported(layers, times, precision="fp16"), None)
    assert get_device("board").precisions == ("fp32", "fp16")


def test_a_device_that_can_be_measured_stays_as_it_is(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    before = get_device("cpu")
    keep(replace(imported(samples / NOTE10), device="cpu"), tmp_path / "there")
    assert get_device("cpu") == before
    assert (tmp_path / "there" / "device.yaml").exists()


def test_a_short_name_is_not_taken_from_the_device_that_it_means() -> None:
    assert device_of("jetson") == (get_device("jetson").name, get_device("jetson").alignment)
    assert device_of("jetson")[0] != "jetson"
    assert device_of("my-board") == ("my-board", 8)


def test_a_folder_of_another_device_is_not_mixed(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    table = imported(samples / NOTE10)
    keep(table, tmp_path / "there")
    with pytest.raises(UsageError, match="holds tables of another device"):
        keep(replace(table, device="other"), tmp_path / "there")
    assert load_table(tmp_path / "there", "a-runtime", "fp32") == table


def test_the_verb_imports_and_info_finds_it(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["--device", "note10", "--runtime", "tflite", "--precision", "fp32", "--json"]
    assert run(["table", "import", str(samples / NOTE10), *names]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["table"], result["rows"]) == ("note10/tflite-fp32", 9)
    assert run(["table", "info", "note10", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)["tables"]
    assert listed["folder"] == result["folder"]
    assert listed["provenance"]["files"][0]["name"] == NOTE10


def test_a_device_that_is_not_chosen_is_bad_usage(
    samples: Path, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    names = ["--device", "nano", "--runtime", "tvm", "--precision", "fp32"]
    assert run(["table", "import", str(samples / "tvm-0.2.log"), *names]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not home.exists()
