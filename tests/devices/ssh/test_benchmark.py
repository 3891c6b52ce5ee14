"""A benchmark through a real ssh connection."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwtickets.deploy.benchmarking import DENSE, TICKET, Plan, take_measurements
from hwtickets.deploy.bundle import Bundle
from hwtickets.deploy.samples import Samples
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.runtimes.onnxruntime import Array


def _bundle(model: bytes, inputs: dict[str, Array], folder: Path) -> Bundle:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model)
    images = np.concatenate([inputs["x"]] * 3)
    facts = {"precision": "fp32", "forms": {}, "task": "classification", "ticket": "0" * 16}
    return Bundle(folder, facts, Samples(images, np.zeros(3)), np.zeros((3, 4), np.float32))


def test_a_board_shows_what_this_machine_shows(
    board: DeviceProfile, model: bytes, inputs: dict[str, Array], tmp_path: Path
) -> None:
    bundle = _bundle(model, inputs, tmp_path / "bundle")
    with open_bench(board) as bench:
        found = take_measurements(Plan(bundle, board, 20, bundle, (2,), 2), bench)
    summary = found.summary
    assert len(found.samples_ms[TICKET]) == len(found.samples_ms[DENSE]) >= 20
    assert len(summary["builds"][TICKET]["medians_ms"]) == 2
    first = summary["first_run"]
    assert first["load_ms"] > 0 and first["first_ms"] > 0
    assert first["peak_bytes"] is None or first["peak_bytes"] >= first["runtime_bytes"] > 0
    assert summary["throughput"][0]["images_per_s"] > 0
    assert summary["energy"].startswith("not available: ")
    assert sum(layer.time_ms for layer in found.layers[TICKET]) > 0
