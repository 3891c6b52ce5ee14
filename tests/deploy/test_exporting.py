"""What an export refuses before it converts anything, and the forms that it takes for its device."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.costs import LatencyCost
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.references import find_reference
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tables.shipped import load_shipped

ENGINE = ["--format", "tensorrt"]
MIXED = ["--precision", "mixed", "--latency", "90%"]


@pytest.fixture(scope="module")
def drawn_elsewhere(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ticket as if it had been drawn for another device."""
    folder, ticket = tmp_path_factory.mktemp("elsewhere") / "ticket", Ticket.load(ticket_folder)
    replace(ticket, provenance={**ticket.provenance, "device": {"device": "elsewhere"}}).save(folder)
    shutil.copy(ticket_folder / "samples.npz", folder)
    return folder


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (["--precision", "int8", "--opset", "16"], 2, "opset 16 cannot be written; choose 18 or 17"),
        (["--precision", "bf16", "--opset", "17", "--device", "cpu-openvino"], 2, "needs opset 22"),
        ([*MIXED, "--opset", "16"], 2, "opset 16 cannot be written"),
        ([*MIXED, "--device", "v100"], 4, "device v100 is only known from a table"),
        (["--precision", "int8", *ENGINE, "--device", "v100"], 4, "no engine can be built on it"),
        (["--precision", "fp17", "--opset", "16"], 2, "unknown precision 'fp17'; did you mean 'fp16'?"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_converted(
    asked: list[str],
    code: int,
    said: str,
    ticket_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["export", str(ticket_folder), *asked, "--output-dir", str(tmp_path / "bundle")]) == code
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1, "no stage was begun"
    assert not list(tmp_path.iterdir())


def test_forms_are_those_that_the_table_of_the_device_prices_lowest(
    drawn_elsewhere: Path, tmp_path: Path
) -> None:
    bundle = api.export(
        drawn_elsewhere, "onnx", tmp_path / "bundle", Progress(quiet=True), device="jetson-nano"
    )
    facts, architecture = read_bundle(bundle).facts, Ticket.load(drawn_elsewhere).architecture
    _, space = architecture.build()
    cost = LatencyCost(load_shipped("jetson-nano", "tensorrt", "fp32"))
    blocks = space.forms()
    every = [dict(zip(blocks, forms, strict=True)) for forms in itertools.product(*blocks.values())]
    prices_ms = [cost.predict_ms(space.graph(architecture.widths, forms))[0] for forms in every]
    assert facts["forms_chosen_for"] == "jetson-nano"
    assert facts["forms"] == every[int(np.argmin(prices_ms))] != architecture.forms
    inputs = read_bundle(bundle).samples.inputs[:1]
    found = load(bundle / "model.onnx").run({"x": inputs})[0]
    np.testing.assert_allclose(found, read_bundle(bundle).expected[:1], rtol=1e-4, atol=1e-5)
    reference = onnx.load_model_from_string(find_reference(read_bundle(bundle), drawn_elsewhere).model)
    written = onnx.load(bundle / "model.onnx")
    assert [node.name for node in reference.graph.node] == [node.name for node in written.graph.node]


def test_without_a_table_the_forms_of_the_draw_stay_and_it_is_said(
    drawn_elsewhere: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Other tests of this process may have built a table of this machine.
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path / "home"))
    assert run(["export", str(drawn_elsewhere), "--output-dir", str(tmp_path / "bundle")]) == 0
    (note,) = capsys.readouterr().err.strip().splitlines()
    assert "faster on elsewhere" in note and "no latency table of cpu" in note
    facts = read_bundle(tmp_path / "bundle").facts
    assert facts["forms"] == Ticket.load(drawn_elsewhere).architecture.forms
    assert facts["forms_chosen_for"] == "elsewhere"
