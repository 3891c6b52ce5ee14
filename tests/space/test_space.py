from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Mobile, Supernet


def test_widths_are_aligned_and_the_whole_is_always_allowed(tiny_space: SearchSpace) -> None:
    assert tiny_space.widths_allowed("blocks.1.k3", 8) == [0, 8, 16, 24, 32]
    assert tiny_space.widths_allowed("blocks.1.k3", 12) == [0, 12, 24, 32]
    assert tiny_space.widths_allowed("blocks.1.k3", 8, limit=20) == [0, 8, 16, 20]
    assert tiny_space.widths_allowed("blocks.1.k3", 8, limit=0) == [0]
    assert tiny_space.size(8) == 3 * 3 * 5 * 5
    assert len(tiny_space.block_widths("blocks.0", 8)) == 9
    assert tiny_space.block_widths("blocks.0", 8, {"blocks.0.k3": 0, "blocks.0.k5": 8}) == [
        {"blocks.0.k3": 0, "blocks.0.k5": 0},
        {"blocks.0.k3": 0, "blocks.0.k5": 8},
    ]


def _operators(path: Path) -> Counter[tuple[object, ...]]:
    """(c_in, c_out, kernel, stride, groups, input height) of every convolution and matrix product."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info):
        shapes[value.name] = [entry.dim_value for entry in value.type.tensor_type.shape.dim]
    found: Counter[tuple[object, ...]] = Counter()
    for node in graph.node:
        options = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "Conv":
            c_out, c_in, kernel, _ = shapes[node.input[1]]
            groups, (stride, _) = options.get("group", 1), options.get("strides", [1, 1])
            found[("conv", c_in * groups, c_out, kernel, stride, groups, shapes[node.input[0]][2])] += 1
        elif node.op_type == "Gemm":
            rows, columns = shapes[node.input[1]]
            c_out, c_in = (rows, columns) if options.get("transB") else (columns, rows)
            found[("linear", c_in, c_out, 1, 1, 1, 1)] += 1
        else:
            found[(node.op_type,)] += 1
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("form", ["split", "merged"])
def test_the_operator_graph_is_that_of_the_exported_model(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tmp_path: Path, form: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    widths = {
        name: int(random.choice(tiny_space.widths_allowed(name, 8))) if seed else unit.width
        for name, unit in tiny_space.units.items()
    }
    forms = dict.fromkeys(tiny_space.blocks, form)
    model = tiny_model(shaken=True)
    resize(model, tiny_space.units.values(), widths)
    write_onnx(export_onnx(deployable(model, forms), model.input_shape), tmp_path / "a.onnx", {})
    exported = _operators(tmp_path / "a.onnx")
    specs = [operator.spec for operator in tiny_space.graph(widths, forms)]
    described = Counter(
        (s.kind, s.c_in, s.c_out, s.kernel, s.stride, s.groups, s.height)
        for s in specs
        if s.kind in ("conv", "linear")
    )
    assert described == {key: count for key, count in exported.items() if key[0] in ("conv", "linear")}
    for kind, count in {
        "Concat": sum(spec.kind == "concat" for spec in specs),
        "Relu": sum(spec.activation == "relu" for spec in specs),
        "Add": sum(spec.residual for spec in specs),
        "GlobalAveragePool": 1,
    }.items():
        assert exported[(kind,)] == count, kind


def test_a_block_alone_has_the_operators_that_it_has_in_the_network(tiny_space: SearchSpace) -> None:
    widths = {**tiny_space.dense(), "blocks.0.k5": 8}
    for form in ("split", "merged", "plain"):
        forms = dict.fromkeys(tiny_space.blocks, form)
        whole = [
            operator.spec for operator in tiny_space.graph(widths, forms) if operator.block == "blocks.1"
        ]
        alone = [operator.spec for operator in tiny_space.block_operators("blocks.1", widths, form)]
        assert alone == whole
    assert [operator.name for operator in tiny_space.fixed_operators()] == [
        "stem/conv",
        "head/conv",
        "head/pool",
        "head/classifier",
    ]


def test_the_space_keeps_its_size_while_the_supernet_shrinks() -> None:
    model = Mobile((1, 12, 12), 4, 8, stages=[[16, 1, 1]], kernel_sizes=[3])
    space = SearchSpace(model, "mobile")
    before = space.graph(space.dense()).macs
    resize(model, space.units.values(), {"blocks.0.k3": 8})
    assert space.graph(space.dense()).macs == before
    assert space.dense() == {"blocks.0.k3": 32}
    assert not any(tensor.device == torch.device("meta") for tensor in model.state_dict().values())
