from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.mixed_precision import sweep
from hwtickets import api
from hwtickets.budgets import parse_budget
from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.columns import MixableNetwork
from hwtickets.deploy.evidence import Evidence, outputs_of
from hwtickets.deploy.mixed import Mixed
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import X86, Quantizer
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import NumericsError, UsageError
from hwtickets.progress import Progress
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks.task import Task

BLOCKS = ["blocks.0", "blocks.1"]
QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def network(exact: bytes, tiny_task: Task) -> MixableNetwork:
    quantizer = Quantizer(exact, X86, Evidence(tiny_task).calibration)
    return MixableNetwork(exact, parts_of(exact, BLOCKS), quantizer, BLOCKS)


def _in_int8(model: bytes) -> set[str]:
    """Parts with a weight that is read through DequantizeLinear."""
    graph = onnx.load_model_from_string(model).graph
    made = {output: node.op_type for node in graph.node for output in node.output}
    weighted = [node for node in graph.node if node.op_type in ("Conv", "Gemm")]
    return {
        part
        for part, nodes in parts_of(model, BLOCKS).nodes.items()
        for node in weighted
        if node.name in nodes and made.get(node.input[1]) == "DequantizeLinear"
    }


def test_the_parts_hold_every_node_once_and_what_passes_between_them(exact: bytes) -> None:
    parts = parts_of(exact, BLOCKS)
    graph = onnx.load_model_from_string(exact).graph
    assert list(parts.nodes) == ["stem", "blocks.0", "blocks.1", "head", "pool", "classifier"]
    assert sorted(name for nodes in parts.nodes.values() for name in nodes) == sorted(
        node.name for node in graph.node
    )
    passed = [(crossing.producer, crossing.consumers) for crossing in parts.crossings]
    names = list(parts.nodes)
    assert passed == [(before, (after,)) for before, after in itertools.pairwise(names)]
    assert (parts.crossings[0].elements, parts.crossings[-1].elements) == (8 * 6 * 6, 32)


def test_only_what_was_chosen_is_in_8_bits(network: MixableNetwork, exact: bytes, tiny_task: Task) -> None:
    assert network.mixed(network.only()) == exact
    mixed = network.mixed(network.only("blocks.0", "classifier"))
    assert _in_int8(mixed) == {"blocks.0", "classifier"}
    images = Evidence(tiny_task).images[:4]
    difference = np.abs(outputs_of(mixed, images) - outputs_of(exact, images)).max()
    assert 0 < difference < 0.2 * np.abs(outputs_of(exact, images)).max()


def test_a_mixed_bundle_keeps_a_latency_that_the_device_showed(ticket_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    asked = ["--precision", "mixed", "--latency", "1s", "--output-dir", str(folder), "--max-drop", "100"]
    assert run(["export", str(ticket_folder), *asked]) == 0
    facts = read_bundle(folder).facts
    found = facts["conversion"]
    assert facts["precision"] == "mixed" and found["latency_limit_ms"] == 1000
    assert _in_int8((folder / "model.onnx").read_bytes()) == set(), "the budget asks for no int8"
    assert found["score"] == found["score_fp32"]
    (draw,) = found["draws"]
    assert draw["kept"] and draw["measured_ms"] == found["latency_ms"] > 0 and draw["predicted_ms"] > 0
    assert all(part["fp32_ms"] >= 0 and part["int8_ms"] >= 0 for part in found["parts"].values())
    assert api.verify(folder, "cpu", 20)["max_rel_error"] < 1e-4


def test_an_impossible_latency_names_the_fastest_mix(
    ticket_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--precision", "mixed", "--latency", "1ns", "--output-dir", str(tmp_path / "bundle")]
    assert run(["export", str(ticket_folder), *asked]) == 3
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "is below every mix of fp32 and int8 of this ticket that was measured; the fastest takes" in error
    assert not list(tmp_path.iterdir()), "nothing half-written"


def test_a_loss_beyond_what_is_allowed_is_refused(exact: bytes, tiny_task: Task) -> None:
    """A gain is asked for that no network gives."""
    latency = parse_budget("latency", "1s")
    with (
        open_bench(get_device("cpu")) as bench,
        pytest.raises(NumericsError, match=r"that keeps 1000 ms loses 0 points, -1 are allowed"),
    ):
        Mixed(tiny_task, X86, -1.0, latency, bench, BLOCKS, QUIET).converted(exact)


def test_mixed_and_a_latency_go_together(ticket_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--precision mixed and --latency go together"):
        api.export(ticket_folder, "onnx", tmp_path, QUIET, "mixed")
    with pytest.raises(UsageError, match="--precision mixed and --latency go together"):
        api.export(ticket_folder, "onnx", tmp_path, QUIET, "int8", latency="2ms")
    with pytest.raises(UsageError, match="latency budget '2' has no unit"):
        api.export(ticket_folder, "onnx", tmp_path, QUIET, "mixed", latency="2")


def test_the_benchmark_predicts_what_it_measures(ticket_folder: Path) -> None:
    rows = {row["budget"]: row for row in sweep(Ticket.load(ticket_folder), "cpu")}
    assert list(rows)[:3] == ["all in fp32", "all in int8", "fastest mix"]
    assert [len(rows[name]["parts_in_int8"]) for name in ("all in fp32", "all in int8")] == [0, 6]
    fastest = rows.pop("fastest mix")
    assert all(row["predicted_ms"] >= fastest["predicted_ms"] - 1e-5 for row in rows.values())
    assert all(row["measured_ms"] > 0 and 0 <= row["score"] <= 100 for row in rows.values())
