"""The main job through the command line: searched, killed, resumed, and used afterwards."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from hwtickets.cli.main import run as command
from hwtickets.files import FolderLock, read_json, sha256_of, write_json
from hwtickets.sparsity.ticket import Ticket, ticket_hash

_PROGRAM = [sys.executable, "-c", "from hwtickets.cli.main import main; main()"]
#: 126 training steps of the dense network, 63 of the search, 63 of finetuning: each stage saves at step 50.
_SETTINGS = {
    "resolution": 12,
    "batch_size": 20,
    "epochs": 14,
    "shrinks": 3,
    "finetune_share": 0.5,
    "threads": 1,
    "supernet": {
        "sizes": {
            "stem_channels": 16,
            "stages": [[16, 1, 1], [16, 1, 2]],
            "expand_ratio": 3,
            "kernel_sizes": [3, 5],
        }
    },
}
_BUDGET = ["--macs", "60%"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration file without a budget."""
    sample = Path(__file__).parent / "data" / "fashion-mnist"
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(yaml.safe_dump({**_SETTINGS, "data": f"fashion-mnist:{sample}"}))
    return path


def _start(*arguments: str | Path, largest_file: int | None = None) -> subprocess.Popen[str]:
    """Begins a command line in a process of its own; `largest_file`, in bytes, stands for a full disk."""

    def prepare() -> None:
        # A shell's background jobs ignore Ctrl-C, and would hand that down to the tests' processes.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [*_PROGRAM, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=prepare,
    )


def _search(settings: Path, folder: Path, *more: str, largest_file: int | None = None) -> tuple[int, str]:
    process = _start("search", "--config", settings, "--output-dir", folder, *more, largest_file=largest_file)
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def _stop(settings: Path, folder: Path, when: Callable[[], bool], how: int, *more: str) -> tuple[int, str]:
    """Begins or resumes a search and sends the signal `how` as soon as `when` is true."""
    process = _start("search", "--config", settings, "--output-dir", folder, *more)
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


@pytest.fixture(scope="module")
def finished(settings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run; tests must not change it."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    code, output = _search(settings, folder, *_BUDGET)
    assert code == 0, output
    assert f"report: {folder / 'report' / 'report.html'}" in output
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def profiled(finished: Path, tmp_path: Path) -> Path:
    """A run that was stopped after its profile, with the prices of the undisturbed run."""
    folder = tmp_path / "again" / "run"
    shutil.copytree(finished / "state" / "table", folder / "state" / "table")
    for name in ("config.yaml", "state/profile.json"):
        shutil.copy(finished / name, folder / name)
    return folder


def _results(folder: Path) -> dict[str, str]:
    names = (
        "ticket/ticket.json",
        "ticket/weights.safetensors",
        "bundle/model.onnx",
        "state/dense/bundle/model.onnx",
    )
    return {name: sha256_of(folder / name) for name in names}


def test_a_search_ends_with_a_measured_ticket_and_its_report(finished: Path) -> None:
    report = read_json(finished / "report" / "report.json", "report")
    assert [budget["kept"] for budget in report["budgets"]] == [True]
    assert report["budgets"][0]["value"] <= report["budgets"][0]["limit"] < report["dense"]["macs"]
    ticket = report["tickets"][0]
    assert ticket["id"] == ticket_hash(finished / "ticket")
    assert ticket["latency_ms"]["p50"] > 0 and ticket["ratio"]["median"] > 0
    assert 0 <= ticket["accuracy"]["test"] <= 100
    assert ticket["verify"]["max_rel_error"] < 1e-4 and ticket["verify"]["top1_agreement"] == 1.0
    assert sum(unit["kept"] for unit in ticket["units"]) < sum(unit["total"] for unit in ticket["units"])
    assert [point["step"] for point in report["history"]] == [13, 32, 50]
    page = (finished / "report" / "report.html").read_text()
    assert "<html" in page and "plotly" in page.lower()
    assert {"report.md", "report.html", "report.json"} <= {
        file.name for file in (finished / "report").iterdir()
    }
    record = read_json(finished / "run.json", "run")
    assert {"torch", "onnxruntime", "python"} <= set(record["versions"]) and record["device"]
    assert [stage["name"] for stage in record["stages"]][:3] == ["profile", "dense network", "search"]


def test_no_file_of_a_run_is_a_pickle_or_a_leftover(finished: Path) -> None:
    suffixes = {path.suffix for path in finished.rglob("*") if path.is_file() and path.name != ".lock"}
    assert suffixes <= {
        *(".json", ".jsonl", ".yaml", ".csv", ".md", ".html", ".png", ".py"),
        *(".safetensors", ".onnx", ".npz"),
    }


def test_a_run_killed_in_every_stage_ends_with_the_same_ticket(
    settings: Path, finished: Path, profiled: Path
) -> None:
    state = profiled / "state"
    kills = {
        "dense network": lambda: (state / "dense.safetensors").exists(),
        "search": lambda: (state / "latency" / "search.safetensors").exists(),
        "draw": lambda: len(list((state / "latency").glob("point-*"))) == 4,
        "finetune": lambda: bool(list(profiled.glob("finetune-*.safetensors"))),
        "measure": lambda: (profiled / "ticket" / "ticket.json").exists(),
    }
    for stage, reached in kills.items():
        code, output = _stop(settings, profiled, reached, signal.SIGKILL, *_BUDGET, "--resume")
        assert code == -signal.SIGKILL, (stage, output)
    assert not (profiled / "delivery.json").exists(), "no kill came too late"
    code, output = _search(settings, profiled, *_BUDGET, "--resume")
    assert code == 0, output
    assert _results(profiled) == _results(finished)
    report = read_json(profiled / "report" / "report.json", "report")
    assert [point["step"] for point in report["history"]] == [13, 32, 50], "no shrink is told twice"


def test_an_interrupted_run_says_how_to_go_on_and_ends_with_the_same_ticket(
    settings: Path, finished: Path, profiled: Path
) -> None:
    reached = (profiled / "state" / "latency" / "search.safetensors").exists
    code, output = _stop(settings, profiled, reached, signal.SIGINT, *_BUDGET, "--resume")
    assert code == 130
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    again = last.partition("interrupted; go on with: hwtickets ")[2].split()
    assert again == [
        "search",
        "--config",
        f"{profiled}/config.yaml",
        "--output-dir",
        str(profiled),
        "--resume",
    ]
    process = _start(*again)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert _results(profiled) == _results(finished)


def test_a_kill_between_draws_keeps_what_was_measured(settings: Path, tmp_path: Path) -> None:
    folder, more = tmp_path / "run", ("--latency", "80%", "--no-baseline", "--epochs", "2")
    candidates = folder / "candidates.jsonl"
    code, output = _stop(settings, folder, candidates.exists, signal.SIGKILL, *more)
    assert code == -signal.SIGKILL, output
    first = json.loads(candidates.read_text().splitlines()[0])
    code, output = _search(settings, folder, *more, "--resume")
    assert code in (0, 3), output
    draws = read_json(folder / "delivery.json", "delivery")["draws"]
    assert draws[0]["measured_ms"] == first["measured_ms"]
    assert (
        f"draw 1: predicted {draws[0]['predicted_ms']:.4f} ms, measured {draws[0]['measured_ms']:.4f} ms"
        in output
    )
    kept = read_json(folder / "report" / "report.json", "report")["budgets"][0]["kept"]
    assert kept == (code == 0)


def test_a_run_that_is_finished_ends_at_once_and_unchanged(
    settings: Path, finished: Path, copied: Path
) -> None:
    before = _results(copied)
    assert _search(settings, copied, *_BUDGET, "--resume")[0] == 0
    assert _results(copied) == before == _results(finished)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(settings: Path, profiled: Path) -> None:
    code, output = _search(settings, profiled, *_BUDGET, "--resume", largest_file=20_000)
    assert code == 1
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert errors == output.strip().splitlines()[-1:] and "cannot write" in errors[0]
    assert not list(profiled.rglob("*.tmp"))
    assert not (profiled / "state" / "dense.safetensors").exists()


def _json(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> Any:
    assert command([*map(str, arguments), "--json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_another_ticket_is_drawn_without_training_the_search_again(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = sha256_of(copied / "state" / "latency" / "search.safetensors")
    ticket = _json(capsys, "draw", copied, "--macs", "45%")
    assert ticket["kept"] and ticket["budget_text"] == "45%"
    assert ticket["macs"] <= 0.45 * read_json(copied / "report" / "report.json", "report")["dense"]["macs"]
    folder = Path(ticket["path"])
    assert ticket_hash(folder / "ticket") == ticket["id"] != ticket_hash(copied / "ticket")
    assert sha256_of(copied / "state" / "latency" / "search.safetensors") == trained
    raw = _json(capsys, "draw", copied, "--macs", "45%", "--no-finetune")
    assert (raw["units"], raw["path"]) == (ticket["units"], ticket["path"]) and raw["id"] != ticket["id"]
    page = _json(capsys, "report", copied)["report_html"]
    assert "45%" in Path(page).read_text()
    report = read_json(copied / "report" / "report.json", "report")
    assert ticket["macs"] in [entry["macs"] for entry in report["tickets"]], "later draws are in the report"


def test_a_ticket_is_trained_further_and_exported(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = _json(capsys, "retrain", copied / "ticket", "--epochs", "1", "--output-dir", tmp_path / "more")
    assert result["ticket"] == ticket_hash(tmp_path / "more") != ticket_hash(copied / "ticket")
    old, new = Ticket.load(copied / "ticket"), Ticket.load(tmp_path / "more")
    assert new.architecture == old.architecture
    assert new.provenance["parent"] == ticket_hash(copied / "ticket")
    assert new.provenance["steps"] == 9, "with the batch size of the search"
    bundle = Path(_json(capsys, "export", tmp_path / "more", "--output-dir", tmp_path / "bundle")["bundle"])
    checked = _json(capsys, "verify", bundle)
    assert checked["max_rel_error"] < 1e-4 and checked["images"] > 0
    timed = _json(
        capsys, "benchmark", bundle, "--runs", "20", "--dense", copied / "state" / "dense" / "bundle"
    )
    assert timed["latency_ms"]["p10"] <= timed["latency_ms"]["p50"] <= timed["latency_ms"]["p99"]
    assert timed["ratio"]["low"] <= timed["ratio"]["median"] <= timed["ratio"]["high"]
    assert sum(block["ms"] for block in timed["blocks"]) == pytest.approx(timed["latency_ms"]["p50"])


def test_reports_of_several_runs_become_one_page(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(finished, tmp_path / "other")
    page = _json(capsys, "report", finished, other, "--output-dir", tmp_path / "both")["report_html"]
    assert Path(page).parent == tmp_path / "both" and Path(page).stat().st_size > 10_000


def test_a_profile_answers_before_any_training(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(capsys, "profile", "--config", settings, *_BUDGET)
    assert 0 < found["min_ms"] < found["dense_ms"] and found["min_macs"] < found["dense_macs"]
    assert found["budgets"][0]["feasible"] and found["units"] == 4


def test_a_dry_run_writes_nothing(settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = _json(
        capsys, "search", "--config", settings, *_BUDGET, "--output-dir", tmp_path / "run", "--dry-run"
    )
    assert found["budgets"][0]["limit"] == pytest.approx(0.6 * found["dense_macs"])
    assert not (tmp_path / "run").exists()


def _fails(capsys: pytest.CaptureFixture[str], code: int, *arguments: object) -> str:
    """Runs a command line that must fail with this code and one line; returns the line."""
    assert command([str(argument) for argument in arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    errors = [line for line in shown.err.splitlines() if not line.startswith("[")]
    assert len(errors) == 1 and errors[0].startswith("error: "), shown.err
    return errors[0]


def test_a_run_folder_in_use_is_left_alone(
    settings: Path, copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in copied.rglob("*") if path.name != ".lock")
    with FolderLock(copied):
        line = _fails(capsys, 1, "search", "--config", settings, *_BUDGET, "--output-dir", copied, "--resume")
        assert f"in use by process {os.getpid()}" in line
        assert "in use by process" in _fails(capsys, 1, "draw", copied, "--macs", "40%")
    assert before == sorted(
        (p, p.stat().st_mtime_ns) for p in copied.rglob("*") if p.name not in (".lock", "draws")
    )


def test_an_output_folder_that_cannot_be_used_is_left_alone(
    settings: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    search = ("search", "--config", settings, *_BUDGET, "--output-dir")
    assert "cannot write" in _fails(capsys, 1, *search, file)
    assert "cannot write" in _fails(capsys, 1, *search, file / "run")
    assert "cannot write" in _fails(capsys, 1, *search, "/proc/hwtickets/run")
    assert file.read_text() == "mine"
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").write_text("")
    assert "not a run folder" in _fails(capsys, 2, *search, tmp_path / "holiday")
    assert "already holds a run; go on with --resume" in _fails(capsys, 2, *search, finished)
    line = _fails(capsys, 2, *search, finished, "--resume", "--seed", "1", "--epochs", "3")
    assert "other settings (epochs, seed)" in line
    for verb in (("retrain", finished / "ticket", "--epochs", "0.1"), ("export", finished / "ticket")):
        assert "cannot write" in _fails(capsys, 1, *verb, "--output-dir", file)
    assert "cannot write" in _fails(capsys, 1, "report", finished, "--output-dir", file)


@pytest.mark.parametrize(
    ("budget", "nearest"),
    [
        (["--macs", "1k"], "the nearest feasible one is"),
        (["--latency", "1ns"], "the nearest feasible one is"),
        (["--size", "10B"], "the nearest feasible one is"),
        (["--macs", "90G"], "above what the dense network costs"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_before_training(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], budget: list[str], nearest: str
) -> None:
    line = _fails(capsys, 3, "search", "--config", settings, *budget, "--output-dir", tmp_path / "run")
    assert nearest in line
    assert not (tmp_path / "run" / "state" / "dense.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--task", "clasification"], 2, "did you mean 'classification'"),
        (["--data", "fashion-mnist-smal"], 2, "did you mean 'fashion-mnist-small'"),
        (["--data", "cifar10:/nowhere"], 2, "/nowhere"),
        (["--data", "fashion-mnist:/nowhere"], 2, "/nowhere"),
        (["--data", "folder:/nowhere"], 2, "/nowhere"),
        (["--device", "nano"], 2, "unknown device 'nano'"),
        (["--precision", "int8"], 2, "unknown precision of device cpu 'int8'"),
        (["--supernet", "mobil"], 2, "did you mean 'mobile'"),
        (["--set", "expand=3"], 2, "did you mean 'expand_ratio'"),
        (["--set", "stages=[[16,1]]"], 2, "triples"),
        (["--batch-size", "5000"], 2, "batch size 5000 does not fit"),
    ],
)
def test_what_does_not_exist_or_fit_is_one_line(
    settings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    reason: str,
) -> None:
    line = _fails(
        capsys, code, "search", "--config", settings, *_BUDGET, *options, "--output-dir", tmp_path / "run"
    )
    assert reason in line


def _empty_class(images: Path) -> str:
    (images / "train" / "cats").mkdir(parents=True)
    (images / "val" / "cats").mkdir(parents=True)
    return "cats"


def _half_broken(images: Path) -> str:
    from PIL import Image

    for part in ("train", "val"):
        for name in ("cats", "dogs"):
            folder = images / part / name
            folder.mkdir(parents=True)
            for index in range(30):
                Image.new("L", (12, 12), index * 8).save(folder / f"{index}.png")
    broken = images / "train" / "dogs" / "17.png"
    broken.write_bytes(broken.read_bytes()[:40])
    return "17.png"


@pytest.mark.parametrize(("break_images", "code"), [(_empty_class, 2), (_half_broken, 1)])
def test_a_broken_image_folder_is_one_line_that_names_the_place(
    settings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    break_images: Callable[[Path], str],
    code: int,
) -> None:
    place = break_images(tmp_path / "images")
    options = ("--data", f"folder:{tmp_path / 'images'}", "--output-dir", tmp_path / "run")
    assert place in _fails(capsys, code, "search", "--config", settings, *_BUDGET, *options)


def _truncate(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("damaged", "stages", "redelivered"),
    [
        ("state/profile.json", ["report"], False),
        ("state/table/onnxruntime-fp32.csv", ["report"], False),
        ("state/table/device.yaml", ["report"], False),
        ("state/dense.safetensors", ["dense network", "report"], False),
        ("state/latency/search.safetensors", ["search", "report"], False),
        ("state/latency/point-04.safetensors", ["deliver", "report"], True),
        ("delivery.json", ["report"], False),
        ("run.json", [], False),
        ("state/report.json", [], False),
    ],
)
def test_a_corrupted_state_is_one_line_that_names_the_file(
    settings: Path,
    copied: Path,
    capsys: pytest.CaptureFixture[str],
    damaged: str,
    stages: list[str],
    redelivered: bool,
) -> None:
    """`stages` are still to do; without them a finished run looks at nothing but its report."""
    record = read_json(copied / "run.json", "run")
    record["stages"] = [stage for stage in record["stages"] if stage["name"] not in stages]
    write_json(copied / "run.json", record)
    if redelivered:
        (copied / "delivery.json").unlink()
    _truncate(copied / damaged)
    line = _fails(capsys, 1, "search", "--config", settings, *_BUDGET, "--output-dir", copied, "--resume")
    assert str(copied / damaged) in line


@pytest.mark.parametrize("text", ["a: [", "a: 1\n", "device: cpu\n", "- 1\n"])
def test_a_corrupted_configuration_of_a_run_is_one_line(
    copied: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    (copied / "config.yaml").write_text(text)
    code = command(["draw", str(copied), "--macs", "40%"])
    error = capsys.readouterr().err
    assert code in (1, 2)
    assert str(copied / "config.yaml") in error and len(error.splitlines()) == 1


def test_a_corrupted_ticket_is_one_line_for_every_verb(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _truncate(copied / "ticket" / "weights.safetensors")
    for verb in ("export", "retrain"):
        assert "weights.safetensors" in _fails(capsys, 1, verb, copied / "ticket")
    _truncate(copied / "ticket" / "ticket.json")
    for verb in ("export", "retrain"):
        assert "ticket.json" in _fails(capsys, 1, verb, copied / "ticket")
        assert "ticket.json" in _fails(capsys, 1, verb, copied / "no" / "ticket")


@pytest.mark.parametrize("epochs", ["nan", "inf", "-1", "0"])
def test_retraining_for_no_or_endless_time_is_bad_usage(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], epochs: str
) -> None:
    line = _fails(
        capsys, 2, "retrain", finished / "ticket", "--epochs", epochs, "--output-dir", tmp_path / "more"
    )
    assert "epochs" in line


def test_a_run_that_is_not_finished_cannot_be_drawn_from(
    profiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "finish it with" in _fails(capsys, 1, "draw", profiled, "--macs", "40%")
    assert "report of a finished search" in _fails(capsys, 1, "report", profiled)
    assert "there is no run at" in _fails(capsys, 2, "draw", profiled / "none", "--macs", "40%")
