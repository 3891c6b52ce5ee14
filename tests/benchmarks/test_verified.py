from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks import common, verified
from tests.deploy.test_deviation import damage_copy

DEVICES = ["cpu", *(["cpu-openvino"] if importlib.util.find_spec("openvino") else [])]


@pytest.fixture
def run(run_folder: Path, tmp_path: Path) -> Path:
    """A run with its dense network, and a ticket whose bundle is damaged."""
    folder = tmp_path / "run"
    shutil.copytree(run_folder, folder / "state" / "dense")
    shutil.copytree(run_folder / "ticket", folder / "ticket")
    damage_copy(run_folder, "blocks.0.project.weight", folder)
    return folder


def test_every_artefact_gets_figures_and_a_verdict_in_every_runtime(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = str(tmp_path / "kept.jsonl")
    line = ["verified.py", str(run), "--images", "8", "--devices", ",".join(DEVICES), "--output", kept]
    before = sorted(path for path in run.rglob("*") if path.is_file())
    monkeypatch.setattr(sys, "argv", [*line, "--json"])
    verified.main()
    result = json.loads(capsys.readouterr().out)
    artefacts = result["artefacts"]
    names = ["bundle", "state/dense/bundle", "ticket, exported in fp32", "ticket, exported in int8"]
    assert [(entry["artefact"], entry["device"]) for entry in artefacts] == [
        (name, device) for name in names for device in DEVICES
    ]
    passed = [entry for entry in artefacts if entry["artefact"] != "bundle"]
    assert result["verified"] == len(passed) and all(entry["verdict"] == "passed" for entry in passed)
    for entry in passed:
        assert entry["max_rel_error"] <= entry["tolerance"] and entry["images"] == 8
        assert entry["precision"] == ("int8" if "int8" in entry["artefact"] else "fp32")
    for entry in artefacts[: len(DEVICES)]:
        assert not entry["passed"] and "the first to differ is blocks.0.project/11_Conv" in entry["verdict"]
    assert sorted(path for path in run.rglob("*") if path.is_file()) == before, "the run stays as it is"

    shutil.rmtree(run / "state")
    monkeypatch.setattr(sys, "argv", line)
    verified.main()
    text = capsys.readouterr().out
    assert f"{len(passed)} of {len(artefacts)} deployed artefacts verified" in text, "taken from the output"
    assert "of first classes" in text


def test_a_folder_without_a_ticket_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["verified.py", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        common.run(verified.main)
    assert ended.value.code == 2 and capsys.readouterr().err.count("\n") == 1
