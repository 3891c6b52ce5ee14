from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hwtickets.costs import AdditiveCost, count_macs, macs_cost, params_cost, size_cost
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network
from hwtickets.supernets import Supernet, build_supernet


def _subnet(space: SearchSpace, seed: int) -> dict[str, int]:
    """Random aligned widths; seed 0 is the dense network, seed 1 the empty one."""
    if seed < 2:
        return space.empty() if seed else space.dense()
    random = np.random.default_rng(seed)
    return {name: int(random.choice(space.widths_allowed(name, 8))) for name in space.units}


def _torch_macs(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    return counter.get_total_flops() // 2


@pytest.mark.parametrize("seed", range(6))
def test_macs_are_those_of_fvcore_and_of_torch(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, seed: int
) -> None:
    widths = _subnet(tiny_space, seed)
    model = tiny_model()
    resize(model, tiny_space.units.values(), widths)
    counted = count_macs(model, model.input_shape)
    assert counted > 0
    assert counted == _torch_macs(model, model.input_shape) == tiny_space.plain_graph(widths).macs
    assert macs_cost().graph(tiny_space.plain_graph(widths)) == counted


def test_macs_of_the_default_supernet() -> None:
    model = build_supernet("mobile", (1, 28, 28), 10, {})
    space = SearchSpace(model, "mobile")
    model.train()
    assert count_macs(model, (1, 28, 28)) == space.plain_graph(space.dense()).macs
    assert model.training, "counting leaves the mode as it was"


@pytest.mark.parametrize("form", ["split", "merged"])
@pytest.mark.parametrize("seed", [0, 2, 3])
def test_the_size_is_that_of_the_weights_in_the_exported_model(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace, tmp_path: Path, seed: int, form: str
) -> None:
    widths, forms = _subnet(tiny_space, seed), dict.fromkeys(tiny_space.blocks, form)
    model = tiny_model(shaken=True)
    resize(model, tiny_space.units.values(), widths)
    write_onnx(export_onnx(deployable(model, forms), model.input_shape), tmp_path / "a.onnx", {})
    weights = [tensor for tensor in onnx.load(tmp_path / "a.onnx").graph.initializer if tensor.data_type == 1]
    exported = 4 * sum(int(np.prod(tensor.dims)) for tensor in weights)
    # Convolutions of the residual are described with a bias that they do not have.
    residuals = sum(block.residual.out_channels for _, block in model.searching_blocks())
    assert size_cost().graph(tiny_space.graph(widths, forms)) - exported == 4 * residuals


def test_params_are_weights_and_folded_biases(
    tiny_model: Callable[..., Supernet], tiny_space: SearchSpace
) -> None:
    widths = _subnet(tiny_space, 4)
    model = tiny_model()
    resize(model, tiny_space.units.values(), widths)
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.dim() > 1)
    operators = tiny_space.plain_graph(widths)
    outputs = sum(operator.spec.c_out for operator in operators if operator.spec.kind in ("conv", "linear"))
    # Branches are projected side by side: one projection of all, whose weights are those of each.
    assert params_cost().graph(operators) == weights + outputs


def test_costs_of_what_is_asked_and_of_what_is_deployed(tiny_space: SearchSpace) -> None:
    """Zero-padded kernels of a merged block cost latency and size, but are no MACs of the network."""
    per_operator = AdditiveCost("latency", "ms", 5.0, lambda spec: 1.0)
    costs = {"latency": per_operator, "macs": macs_cost(), "size": size_cost()}
    forms, totals = price_network(tiny_space, tiny_space.dense(), costs)
    assert set(forms.values()) == {"merged"}, "fewer operators are cheaper here"
    merged = tiny_space.graph(tiny_space.dense(), forms)
    assert totals["latency"] == 5.0 + len(merged)
    assert totals["size"] == size_cost().graph(merged)
    assert totals["macs"] == tiny_space.plain_graph(tiny_space.dense()).macs < merged.macs
