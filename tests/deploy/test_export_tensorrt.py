from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.engine import read_engine

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs tensorrt-rtx: pip install 'hwtickets[tensorrt-rtx]'",
)


@needs_rtx
def test_export_writes_an_engine_beside_the_network(
    ticket_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HWTICKETS_AGENT_CACHE", str(tmp_path / "cache"))
    arguments = ["--format", "tensorrt", "--precision", "fp16", "--output-dir", str(tmp_path / "bundle")]
    assert run(["export", str(ticket_folder), *arguments]) == 0
    bundle, record = read_bundle(tmp_path / "bundle"), read_engine(tmp_path / "bundle")
    assert record["model_sha256"] == bundle.facts["onnx_sha256"]
    assert bundle.facts["kit"] == "tensorrt"
    assert record["settings"]["precision"] == "fp16"


@needs_rtx
def test_an_engine_that_cannot_be_built_leaves_nothing(
    ticket_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HWTICKETS_AGENT_CACHE", str(tmp_path / "cache"))
    arguments = ["--format", "tensorrt", "--dla", "--output-dir", str(tmp_path / "made" / "bundle")]
    assert run(["export", str(ticket_folder), *arguments]) == 4
    error = capsys.readouterr().err
    assert "reports no DLA" in error and len(error.splitlines()) == 1
    assert not list((tmp_path / "made").iterdir())


def test_export_packs_the_network_and_reading_the_bundle_unpacks_it(
    ticket_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    assert run(["export", str(ticket_folder), "--compress", "--output-dir", str(folder), "--json"]) == 0
    size = json.loads(capsys.readouterr().out)["packed"]
    assert not (folder / "model.onnx").exists()
    assert (folder / "model.onnx.npz").stat().st_size == size["packed_bytes"] < size["size_bytes"]
    assert read_bundle(folder).model_path.stat().st_size == size["size_bytes"]


def test_a_packed_bundle_takes_the_place_of_another_and_the_other_way_round(
    ticket_folder: Path, tmp_path: Path
) -> None:
    forms = []
    for more in ([], ["--compress"], []):
        assert run(["export", str(ticket_folder), "--output-dir", str(tmp_path / "bundle"), *more]) == 0
        forms.append(sorted(path.name for path in (tmp_path / "bundle").glob("model.onnx*")))
    assert forms == [["model.onnx"], ["model.onnx.npz"], ["model.onnx"]]
    assert read_bundle(tmp_path / "bundle").model_path.exists()


def test_an_accelerator_needs_an_engine(ticket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(ticket_folder), "--dla"]) == 2
    assert "--dla is for engines; add --format tensorrt" in capsys.readouterr().err
