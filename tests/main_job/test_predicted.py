"""A search for a device that only a table describes: everything is there, and nothing is called measured."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwtickets.cli.main import run as command
from hwtickets.devices import DeviceProfile
from hwtickets.devices.registry import profile_path, save_profile
from hwtickets.files import read_json
from hwtickets.space.operators import OperatorSpec
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet
from hwtickets.tables import Calibration, LatencyTable, Row, save_table
from hwtickets.tables.shipped import ALIASES

_NAME, _OTHER, _TABLE = "toyboard", "otherboard", "toyboard/trtexec-fp16"


@pytest.fixture(scope="module")
def board(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A device without a connection, and the folder of its table."""
    sizes = yaml.safe_load(settings.read_text())["supernet"]["sizes"]
    space = SearchSpace(build_supernet("mobile", (1, 12, 12), 10, sizes), "mobile")
    rows: dict[OperatorSpec, Row] = {}
    for width in range(8, 56, 8):
        for form in ("split", "merged"):
            forms = {block: form for block, known in space.forms().items() if form in known}
            graph = space.graph(dict.fromkeys(space.units, min(width, 48)), forms)
            rows |= {op.spec: Row(1e-3 + op.spec.macs / 1e8, 1e-4, 100, 2) for op in graph}
    folder = tmp_path_factory.mktemp("board")
    table = LatencyTable(
        *(_NAME, "trtexec", "fp16"),
        batch=1,
        alignment=8,
        fingerprint={"device": _NAME, "board": "a toy"},
        rows=rows,
        calibration=Calibration(0.01, 1.1, 0.0005),
        error={"median_error": 0.1, "p90_error": 0.2},
        provenance={"source": "made up"},
    )
    save_table(table, folder)
    for name in (_NAME, _OTHER):
        facts = {"description": "a toy", "connection": "none", "runtime": "trtexec", "precisions": ("fp16",)}
        save_profile(DeviceProfile.model_validate({"name": name, **facts}))
    yield folder
    for name in (_NAME, _OTHER):
        profile_path(name).unlink()


@pytest.fixture(scope="module")
def predicted(searches: Any, board: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search for the board; tests must not change it."""
    folder = tmp_path_factory.mktemp("predicted") / "run"
    options = ("--device", _NAME, "--table", board, "--latency", "75%", "--epochs", "2")
    code, output = searches.run(folder, *options)
    assert code == 4, output
    return folder


def test_everything_is_written_and_no_latency_is_called_measured(
    predicted: Path,
) -> None:
    report = read_json(predicted / "report" / "report.json", "report")
    assert report["device"]["measured"] is False and report["device"]["precision"] == "fp16"
    assert report["device"]["fingerprint"]["board"] == "a toy"
    dense, ticket = report["dense"], report["tickets"][0]
    assert dense["latency_ms"] is ticket["latency_ms"] is ticket["ratio"] is None
    assert 0 < ticket["predicted_ms"] <= 0.75 * dense["predicted_ms"]
    assert ticket["predicted_error_ms"] >= 0.2 * ticket["predicted_ms"]
    assert [(draw["measured_ms"], draw["accepted"]) for draw in ticket["draws"]] == [(None, True)]
    budget = report["budgets"][0]
    assert (budget["kept"], budget["predicted"]) == (None, True)
    assert budget["limit"] == pytest.approx(0.75 * dense["predicted_ms"])
    assert (predicted / "bundle" / "model.onnx").exists()
    assert not list(predicted.rglob("times.json")) and not list(predicted.rglob("layers.json"))


def test_the_numerics_are_checked_here(predicted: Path) -> None:
    checked = read_json(predicted / "devices" / "cpu" / "verify.json", "numerics")
    assert checked["max_rel_error"] < 1e-4
    assert read_json(predicted / "report" / "report.json", "report")["tickets"][0]["verify"]["images"] > 0


def test_the_blocks_sum_to_the_prediction(predicted: Path) -> None:
    ticket = read_json(predicted / "report" / "report.json", "report")["tickets"][0]
    assert sum(block["ms"] for block in ticket["blocks"]) == pytest.approx(ticket["predicted_ms"])


def test_every_view_says_that_it_is_predicted_and_from_what(
    predicted: Path, capsys: pytest.CaptureFixture[str], answer: Callable[..., Any]
) -> None:
    again = ("search", "--config", predicted / "config.yaml", "--output-dir", predicted, "--resume")
    result = answer(*again, code=4)
    assert (result["kept"], result["measured"]) == (True, False)
    assert command([*map(str, again)]) == 4
    shown = capsys.readouterr()
    assert f"predicted from table {_TABLE}, not measured" in shown.out
    assert " measured)" not in shown.out and "TensorRT builds fp16 from it" in shown.out
    line = shown.err.strip().splitlines()[-1]
    assert line.startswith(f"note: latencies are predicted from table {_TABLE}, not measured; to measure")
    assert f"hwtickets draw {predicted} --device NAME --latency 75%" in line
    for name in ("report.md", "report.html"):
        page = (predicted / "report" / name).read_text()
        assert f"predicted from table {_TABLE}, not measured" in page, name
        assert "The bundle is fp32; TensorRT builds fp16 from it." in page, name


def test_a_run_of_this_machine_is_drawn_for_the_board(
    copied: Path, board: Path, answer: Callable[..., Any]
) -> None:
    options = ("--device", _NAME, "--table", board, "--latency", "80%", "--no-finetune")
    ticket = answer("draw", copied, *options, code=4)
    assert ticket["measured"] is False and ticket["latency_ms"] is None and ticket["predicted_ms"] > 0
    assert Path(ticket["path"]).name == f"{_NAME}-fp16-latency-80pc"
    page = Path(answer("report", copied)["report_html"])
    runs = read_json(page.with_name("report.json"), "report")["runs"]
    assert [(run["device"]["name"], run["device"]["measured"]) for run in runs] == [
        ("cpu", True),
        (_NAME, False),
    ]
    assert runs[1]["dense"]["predicted_ms"] > 0 and runs[1]["dense"]["latency_ms"] is None
    assert runs[0]["dense"]["latency_ms"]["p50"] > 0 and runs[0]["dense"]["predicted_ms"] is None


def test_a_predicted_run_is_measured_where_it_is_drawn_for_this_machine(
    predicted: Path, tmp_path: Path, answer: Callable[..., Any]
) -> None:
    run = shutil.copytree(predicted, tmp_path / "run")
    ticket = answer("draw", run, "--device", "cpu", "--macs", "60%", "--no-finetune")
    assert ticket["measured"] is True and ticket["latency_ms"]["p50"] > 0
    assert ticket["table"] == "cpu/onnxruntime-fp32"


def test_a_profile_is_predicted(
    settings: Path, board: Path, answer: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--config", settings, "--device", _NAME, "--table", board, "--latency", "75%")
    found = answer("profile", *options, code=4)
    assert (found["measured"], found["table"]) == (False, _TABLE)
    assert 0 < found["min_ms"] < found["dense_ms"] and found["dense_error_ms"] > 0
    assert command(["profile", *map(str, options)]) == 4
    assert "predicted dense" in capsys.readouterr().out


def test_a_device_whose_table_ships_needs_no_table_of_the_user(
    settings: Path, answer: Callable[..., Any]
) -> None:
    found = answer("profile", "--config", settings, "--device", "jetson", "--latency", "80%", code=4)
    assert found["device"] == ALIASES["jetson"] and found["table"].startswith(found["device"])
    assert found["measured"] is False and found["table_error"]


def test_there_is_nothing_to_verify_or_time_on(
    finished: Path, board: Path, failure: Callable[..., str]
) -> None:
    for verb in ("verify", "benchmark"):
        line = failure(4, verb, finished / "bundle", "--device", _NAME)
        assert "hwtickets devices add" in line


def test_without_a_table_there_is_nothing_to_predict_from(
    settings: Path, board: Path, tmp_path: Path, failure: Callable[..., str]
) -> None:
    search = ("search", "--config", settings, "--device", _NAME, "--latency", "75%", "--output-dir", tmp_path)
    assert "there is no latency table of toyboard" in failure(4, *search)


def test_a_precision_that_the_device_lacks_names_what_there_is(
    settings: Path, board: Path, tmp_path: Path, failure: Callable[..., str]
) -> None:
    search = ("search", "--config", settings, "--device", _NAME, "--latency", "75%", "--output-dir", tmp_path)
    line = failure(2, *search, "--precision", "fp32")
    assert "precision of device toyboard" in line and "Known: fp16" in line


def test_the_table_of_another_device_is_refused_unless_it_is_meant(
    settings: Path, board: Path, answer: Callable[..., Any], failure: Callable[..., str]
) -> None:
    profile = ("profile", "--config", settings, "--device", _OTHER, "--table", board, "--latency", "75%")
    line = failure(1, *profile)
    assert f"device: {_NAME} -> {_OTHER}" in line and "--allow-other-fingerprint" in line
    assert answer(*profile, "--allow-other-fingerprint", code=4)["table"] == _TABLE
