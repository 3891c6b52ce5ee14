"""What is wrong, damaged or in use is one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hwtickets.cli.main import run as command
from hwtickets.files import FolderLock, read_json, write_json

_BUDGET = ("--macs", "60%")


def test_a_run_folder_in_use_is_left_alone(settings: Path, copied: Path, failure: Callable[..., str]) -> None:
    before = sorted((path, path.stat().st_mtime_ns) for path in copied.rglob("*") if path.name != ".lock")
    with FolderLock(copied):
        line = failure(1, "search", "--config", settings, *_BUDGET, "--output-dir", copied, "--resume")
        assert f"in use by process {os.getpid()}" in line
        assert "in use by process" in failure(1, "draw", copied, "--macs", "40%")
    assert before == sorted(
        (p, p.stat().st_mtime_ns) for p in copied.rglob("*") if p.name not in (".lock", "draws")
    )


def test_an_output_folder_that_cannot_be_used_is_left_alone(
    settings: Path, finished: Path, tmp_path: Path, failure: Callable[..., str]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    search = ("search", "--config", settings, *_BUDGET, "--output-dir")
    assert "cannot write" in failure(1, *search, file)
    assert "cannot write" in failure(1, *search, file / "run")
    assert "cannot write" in failure(1, *search, "/proc/hwtickets/run")
    assert file.read_text() == "mine"
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "a.jpg").write_text("")
    assert "not a run folder" in failure(2, *search, tmp_path / "holiday")
    assert "already holds a run; go on with --resume" in failure(2, *search, finished)
    line = failure(2, *search, finished, "--resume", "--seed", "1", "--epochs", "3")
    assert "other settings (epochs, seed)" in line
    for verb in (("retrain", finished / "ticket", "--epochs", "0.1"), ("export", finished / "ticket")):
        assert "cannot write" in failure(1, *verb, "--output-dir", file)
    assert "cannot write" in failure(1, "report", finished, "--output-dir", file)


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
    settings: Path, tmp_path: Path, failure: Callable[..., str], budget: list[str], nearest: str
) -> None:
    line = failure(3, "search", "--config", settings, *budget, "--output-dir", tmp_path / "run")
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
    failure: Callable[..., str],
    options: list[str],
    code: int,
    reason: str,
) -> None:
    line = failure(code, "search", "--config", settings, *_BUDGET, *options, "--output-dir", tmp_path / "run")
    assert reason in line


def _empty_class(images: Path) -> str:
    for part, name in ((part, name) for part in ("train", "val") for name in ("cats", "dogs")):
        (images / part / name).mkdir(parents=True)
    return "cats is empty"


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
    failure: Callable[..., str],
    break_images: Callable[[Path], str],
    code: int,
) -> None:
    place = break_images(tmp_path / "images")
    options = ("--data", f"folder:{tmp_path / 'images'}", "--output-dir", tmp_path / "run")
    assert place in failure(code, "search", "--config", settings, *_BUDGET, *options)


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
    failure: Callable[..., str],
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
    line = failure(1, "search", "--config", settings, *_BUDGET, "--output-dir", copied, "--resume")
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


def test_a_corrupted_ticket_is_one_line_for_every_verb(copied: Path, failure: Callable[..., str]) -> None:
    _truncate(copied / "ticket" / "weights.safetensors")
    for verb in ("export", "retrain"):
        assert "weights.safetensors" in failure(1, verb, copied / "ticket")
    _truncate(copied / "ticket" / "ticket.json")
    for verb in ("export", "retrain"):
        assert "ticket.json" in failure(1, verb, copied / "ticket")
        assert "ticket.json" in failure(1, verb, copied / "no" / "ticket")


@pytest.mark.parametrize("epochs", ["nan", "inf", "-1", "0"])
def test_retraining_for_no_or_endless_time_is_bad_usage(
    finished: Path, tmp_path: Path, failure: Callable[..., str], epochs: str
) -> None:
    line = failure(2, "retrain", finished / "ticket", "--epochs", epochs, "--output-dir", tmp_path / "more")
    assert "epochs" in line


def test_a_run_that_is_not_finished_cannot_be_drawn_from(profiled: Path, failure: Callable[..., str]) -> None:
    assert "finish it with" in failure(1, "draw", profiled, "--macs", "40%")
    assert "report of a finished search" in failure(1, "report", profiled)
    assert "there is no run at" in failure(2, "draw", profiled / "none", "--macs", "40%")
