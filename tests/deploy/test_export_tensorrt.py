from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.engine import read_engine


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs tensorrt-rtx: pip install 'hwtickets[tensorrt-rtx]'",
)
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


def test_export_packs_the_network_and_reading_the_bundle_unpacks_it(
    ticket_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bundle"
    assert run(["export", str(ticket_folder), "--compress", "--output-dir", str(folder), "--json"]) == 0
    size = json.loads(capsys.readouterr().out)["packed"]
    assert not (folder / "model.onnx").exists()
    assert (folder / "model.onnx.npz").stat().st_size == size["packed_bytes"] < size["size_bytes"]
    assert read_bundle(folder).model_path.stat().st_size == size["size_bytes"]


def test_an_accelerator_needs_an_engine(ticket_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["export", str(ticket_folder), "--dla"]) == 2
    assert "--dla is for engines; add --format tensorrt" in capsys.readouterr().err
