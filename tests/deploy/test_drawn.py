"""Precisions that were drawn with the widths, in the exported network."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle, write_bundle
from hwtickets.deploy.drawn import AsDrawn, mixable
from hwtickets.deploy.evidence import Evidence, outputs_of
from hwtickets.deploy.losses import part_losses
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import X86
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.progress import Progress
from hwtickets.sparsity.ticket import Ticket, precisions_of
from hwtickets.tasks.task import Task

BLOCKS = ["blocks.0", "blocks.1"]
PARTS = ["stem", *BLOCKS, "head"]
QUIET = Progress(quiet=True)
MIX = {"stem": "fp32", "blocks.0": "int8", "blocks.1": "fp16", "head": "int8"}


@pytest.fixture(scope="module")
def evidence(tiny_task: Task) -> Evidence:
    return Evidence(tiny_task)


@pytest.fixture(scope="module")
def drawn_folder(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ticket as a draw of precisions leaves it."""
    folder = tmp_path_factory.mktemp("drawn") / "ticket"
    shutil.copytree(ticket_folder, folder)
    ticket = Ticket.load(folder)
    chosen = {part: "fp32" if precision == "fp16" else precision for part, precision in MIX.items()}
    replace(ticket, provenance={**ticket.provenance, "precisions": chosen}).save(folder)
    return folder


def _types(model: bytes) -> dict[str, set[str]]:
    """By part, how the weights of its convolutions and products are stored."""
    graph = onnx.load_model_from_string(model).graph
    made = {output: node for node in graph.node for output in node.output}
    stored = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, set[str]] = {}
    for part, nodes in parts_of(model, BLOCKS).merged_into(PARTS).nodes.items():
        for node in (node for node in graph.node if node.name in nodes):
            if node.op_type in ("Conv", "Gemm"):
                source = made.get(node.input[1])
                weight = source.input[0] if source else node.input[1]
                kind = onnx.TensorProto.DataType.Name(stored[weight].data_type)
                found.setdefault(part, set()).add(kind)
    return found


def test_parts_that_a_space_does_not_know_go_with_those_before_them(exact: bytes) -> None:
    parts = parts_of(exact, BLOCKS)
    merged = parts.merged_into(PARTS)
    assert list(merged.nodes) == PARTS
    assert merged.nodes["head"] == [*parts.nodes["head"], *parts.nodes["pool"], *parts.nodes["classifier"]]
    assert sum(map(len, merged.nodes.values())) == sum(map(len, parts.nodes.values()))
    passed = [(crossing.producer, crossing.consumers) for crossing in merged.crossings]
    assert passed == [("stem", ("blocks.0",)), ("blocks.0", ("blocks.1",)), ("blocks.1", ("head",))]


def test_three_precisions_in_one_graph(exact: bytes, evidence: Evidence) -> None:
    mixed, facts = AsDrawn(MIX, X86, evidence, BLOCKS).converted(exact)
    kinds = {"fp32": "FLOAT", "fp16": "FLOAT16", "int8": "INT8"}
    assert _types(mixed) == {part: {kinds[precision]} for part, precision in MIX.items()}
    assert facts["parts"] == {part: {"precision": precision} for part, precision in MIX.items()}
    assert facts["score"] == evidence.score(mixed) and facts["score_fp32"] == evidence.score(exact)
    reference, actual = (outputs_of(model, evidence.images[:8]) for model in (exact, mixed))
    assert 0 < np.abs(actual - reference).max() < 0.2 * np.abs(reference).max()


def test_all_in_fp32_is_the_network_itself(exact: bytes, evidence: Evidence) -> None:
    plain, facts = AsDrawn(dict.fromkeys(PARTS, "fp32"), X86, evidence, BLOCKS, scored=False).converted(exact)
    assert plain == exact and "score" not in facts


def test_losses_sum_to_what_the_whole_network_loses(exact: bytes, evidence: Evidence) -> None:
    network = mixable(exact, BLOCKS, PARTS, X86, evidence)
    losses = part_losses(network, evidence, ["fp16", "int8"])
    assert list(losses) == PARTS
    whole = evidence.score(exact) - evidence.score(network.mixed(network.only(*PARTS)))
    one_image = 100 / len(evidence.images)
    assert sum(own["int8"] for own in losses.values()) == pytest.approx(max(whole, one_image))
    assert all(own["fp32"] == 0 and own["int8"] > 0 and own["fp16"] > 0 for own in losses.values())


def test_a_ticket_is_exported_as_it_was_drawn(drawn_folder: Path, tmp_path: Path) -> None:
    chosen = precisions_of(drawn_folder)
    assert run(["export", str(drawn_folder), "--output-dir", str(tmp_path / "bundle")]) == 0
    bundle = read_bundle(tmp_path / "bundle")
    assert bundle.facts["precision"] == "mixed"
    assert {part: own["precision"] for part, own in bundle.facts["conversion"]["parts"].items()} == chosen
    kinds = {"fp32": {"FLOAT"}, "int8": {"INT8"}}
    assert _types(bundle.model_path.read_bytes()) == {part: kinds[own] for part, own in chosen.items()}
    assert api.verify(tmp_path / "bundle", "cpu", 20)["precision"] == "mixed"
    again = api.export(drawn_folder, "onnx", tmp_path / "again", QUIET, "mixed")
    assert (again / "model.onnx").read_bytes() == bundle.model_path.read_bytes()


def test_another_precision_can_still_be_asked_for(drawn_folder: Path, tmp_path: Path) -> None:
    plain = api.export(drawn_folder, "onnx", tmp_path / "fp32", QUIET, "fp32")
    assert set.union(*_types((plain / "model.onnx").read_bytes()).values()) == {"FLOAT"}
    assert read_bundle(plain).facts["precision"] == "fp32"


def test_a_ticket_in_one_precision_is_exported_as_before(ticket_folder: Path, tmp_path: Path) -> None:
    assert precisions_of(ticket_folder) == {}
    before = write_bundle(ticket_folder, tmp_path / "before")
    assert run(["export", str(ticket_folder), "--output-dir", str(tmp_path / "now")]) == 0
    assert (before / "model.onnx").read_bytes() == (tmp_path / "now" / "model.onnx").read_bytes()
    with pytest.raises(UsageError, match="--precision mixed and --latency go together"):
        api.export(ticket_folder, "onnx", tmp_path / "no", QUIET, "mixed")


def test_precisions_that_were_altered_are_noticed(drawn_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ticket"
    shutil.copytree(drawn_folder, folder)
    record = json.loads((folder / "ticket.json").read_text())
    record["provenance"]["precisions"]["stem"] = "int8"
    (folder / "ticket.json").write_text(json.dumps(record))
    with pytest.raises(HwticketsError, match="the ticket is corrupted"):
        api.export(folder, "onnx", tmp_path / "bundle", QUIET)
