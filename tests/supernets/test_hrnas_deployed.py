from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.runtimes import load
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import build_supernet
from hwtickets.tables.skeleton import random_inputs, skeleton_model

CASES = {"classification": (1, 28, 28), "dense": (3, 37, 55)}
Drawn = tuple[Ticket, SearchSpace]


def _kinds(model: bytes) -> Counter[str]:
    kinds = Counter(node.op_type for node in onnx.load_from_string(model).graph.node)
    kinds["Flatten"] += kinds.pop("Reshape", 0)
    return +kinds


@pytest.fixture(scope="module", params=CASES)
def drawn(
    request: pytest.FixtureRequest,
    small_sizes: dict[str, Any],
    shake: Callable[[nn.Module], nn.Module],
    tmp_path_factory: pytest.TempPathFactory,
) -> Drawn:
    """A ticket, read back from its files: some branches gone, some blocks gone, both forms."""
    head, shape = request.param, CASES[request.param]
    torch.manual_seed(0)
    model = shake(build_supernet("hrnas", shape, 5, small_sizes, head))
    space = SearchSpace(model, "hrnas")
    widths = {unit: (0, 5, 8)[index % 3] for index, unit in enumerate(space.units)}
    gone = [block for index, block in enumerate(space.blocks) if index % 4 == 1]
    widths |= {unit: 0 for block in gone for unit in space.blocks[block]}
    forms = {block: ("split", "merged")[index % 2] for index, block in enumerate(space.blocks)}
    resize(model, space.units.values(), widths)
    architecture = Architecture("hrnas", model.sizes, shape, 5, widths, space.dense(), forms)
    folder = tmp_path_factory.mktemp("ticket")
    Ticket(architecture, model.state_dict(), {"name": "any"}).save(folder)
    return Ticket.load(folder), space


@pytest.fixture(scope="module")
def exported(drawn: Drawn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    ticket, _ = drawn
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    deployed = deployable(ticket.module(), ticket.architecture.forms)
    write_onnx(export_onnx(deployed, ticket.architecture.input_shape), path, {})
    return path


@torch.no_grad()
def test_the_exported_network_computes_what_the_ticket_does(drawn: Drawn, exported: Path) -> None:
    ticket, _ = drawn
    x = torch.randn(1, *ticket.architecture.input_shape)
    expected = ticket.module()(x).numpy()
    (actual,) = load(exported.read_bytes()).run({"x": x.numpy()})
    assert float(expected.std()) > 1e-3
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * float(np.abs(expected).max()))


def test_the_skeleton_runs_the_nodes_of_the_exported_network(drawn: Drawn, exported: Path) -> None:
    ticket, space = drawn
    graph = space.graph(ticket.architecture.widths, ticket.architecture.forms)
    skeleton = skeleton_model(graph)
    assert _kinds(skeleton) == _kinds(exported.read_bytes())
    (output,) = load(skeleton).run(random_inputs(graph))
    assert output.shape == load(exported.read_bytes()).run(random_inputs(graph))[0].shape


def test_every_node_is_named_after_a_block_or_a_part_of_the_network(drawn: Drawn, exported: Path) -> None:
    _, space = drawn
    for node in onnx.load(exported).graph.node:
        scope = node.name.split("/")[0]
        inside = [block for block in space.blocks if scope == block or scope.startswith(block + ".")]
        assert len(inside) == 1 or scope.split(".")[0] in ("stem", "trunk", "head"), node.name


@torch.no_grad()
def test_masked_and_sliced_networks_agree(
    drawn: Drawn, small_sizes: dict[str, Any], shake: Callable[[nn.Module], nn.Module]
) -> None:
    ticket, space = drawn
    architecture = ticket.architecture
    head = architecture.sizes["head"]
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(shake(build_supernet("hrnas", architecture.input_shape, 5, small_sizes, head)).eval())
    masked, sliced = models
    resize(sliced, space.units.values(), architecture.widths)
    for name, unit in space.units.items():
        norm = masked.get_submodule(unit.importance)
        for tensor in (norm.weight, norm.bias):
            tensor[architecture.widths[name] :] = 0
    for block, units in space.blocks.items():
        if not any(architecture.widths[unit] for unit in units):
            norm = masked.get_submodule(f"{block}.out_bn")
            norm.weight.zero_(), norm.bias.zero_()
    x = torch.randn(2, *architecture.input_shape)
    torch.testing.assert_close(sliced(x), masked(x), rtol=1e-4, atol=1e-4)
