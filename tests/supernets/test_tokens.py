from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.errors import UsageError
from hwtickets.runtimes import load
from hwtickets.space.operators import GraphBuilder, OperatorGraph
from hwtickets.space.slicing import keep_channels, present_widths, resize
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import MixConvBlock, Supernet, build_supernet
from hwtickets.supernets.base import PLAIN
from hwtickets.supernets.token_block import TokenBlock
from hwtickets.supernets.tokens import AttentionLayer, TokenMixer
from hwtickets.tables.skeleton import random_inputs, skeleton_model

Shake = Callable[[nn.Module], nn.Module]
Build = Callable[[], tuple[Supernet, SearchSpace]]
BLOCK = "trunk.0.parallel.0.0"


@pytest.fixture
def build(small_sizes: dict[str, Any], shake: Shake) -> Build:
    """A network with 12 tokens in each block that keeps its shape, and its space."""

    def made() -> tuple[Supernet, SearchSpace]:
        torch.manual_seed(0)
        model = shake(build_supernet("hrnas", (3, 37, 55), 5, {**small_sizes, "tokens": 12}))
        return model.eval(), SearchSpace(model, "hrnas")

    return made


def _attention(layer: AttentionLayer) -> nn.MultiheadAttention:
    """PyTorch's own attention with the same weights."""
    attention = nn.MultiheadAttention(64, 1, bias=False, batch_first=True)
    attention.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, layer.value.weight]))
    attention.out_proj.weight.copy_(layer.out.weight)
    return attention


def _layer(layer: AttentionLayer, queries: Tensor, memory: Tensor) -> Tensor:
    x = layer.attention_norm(memory + _attention(layer)(queries, memory, memory)[0])
    return layer.norm(x + F.relu(x @ layer.expand.weight.T) @ layer.project.weight.T)


@torch.no_grad()
def test_a_mixer_is_an_encoder_and_a_decoder_layer_over_tokens(shake: Shake) -> None:
    torch.manual_seed(0)
    mixer = shake(TokenMixer(6, 5)).eval()
    x = torch.randn(2, 6, 14, 9)
    line = (torch.arange(8.0) - 3.5) / 5.25**0.5
    columns, rows = line.repeat(8, 1), line.repeat(8, 1).T
    seen = F.interpolate(x, (8, 8), mode="bilinear")
    seen = torch.cat([seen, torch.stack([columns, rows]).repeat(2, 1, 1, 1)], 1)
    tokens = mixer.input_norm(F.conv2d(seen, mixer.input_proj.weight)).reshape(2, 5, 64)
    memory = _layer(mixer.encoder, tokens, tokens)
    decoded = _layer(mixer.decoder, mixer.queries.repeat(2, 1, 1), memory)
    back = mixer.output_norm(F.conv2d(decoded.reshape(2, 5, 8, 8), mixer.output_proj.weight))
    torch.testing.assert_close(mixer(x), F.interpolate(back, (14, 9), mode="bilinear"), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_transformer_is_on_the_residual_side(shake: Shake) -> None:
    torch.manual_seed(0)
    block = shake(TokenBlock(6, {3: 8}, 5)).eval()
    x = torch.randn(2, 6, 9, 9)
    transformed = x + block.mixers["tokens"](x)
    branch = block.out_bn(block.branches["k3"](x))
    torch.testing.assert_close(block(x), transformed + branch)
    del block.branches["k3"]
    block.drop_unused()
    torch.testing.assert_close(block(x), transformed)
    torch.testing.assert_close(block.deployed("split")(x), transformed, rtol=1e-4, atol=1e-5)


def test_multiply_accumulates_are_those_of_the_module() -> None:
    block, builder = TokenBlock(18, {3: 4}, 64).eval(), GraphBuilder(18, 56, 56)
    block.describe(builder, "b", builder.graph.input, {"b.k3": 0, "b.tokens": 64}, PLAIN)
    assert builder.graph.macs == 4_349_952
    mixer = block.mixers["tokens"]
    with FlopCounterMode(display=False) as counter:
        mixer(torch.zeros(1, 18, 56, 56))
    assert counter.get_total_flops() == 2 * builder.graph.macs
    folded = 64 + 18
    assert sum(op.spec.params for op in builder.graph) == sum(p.numel() for p in mixer.parameters()) - folded


def test_a_network_has_tokens_where_the_shape_is_kept(
    plain: Callable[..., tuple[Supernet, dict[str, int], OperatorGraph]],
) -> None:
    model, widths, graph = plain("hrnas-tiny", (3, 45, 61), 10, tokens=64, head="dense")
    for name, block in model.searching_blocks():
        assert isinstance(block, MixConvBlock)
        keeps = block.stride == 1 and block.c_in == block.c_out
        assert (widths.get(f"{name}.tokens") == 64) == isinstance(block, TokenBlock) == keeps
    with FlopCounterMode(display=False) as counter, torch.device("meta"):
        model.eval()(torch.zeros(1, 3, 45, 61))
    assert graph.macs == counter.get_total_flops() / 2


def test_a_token_is_removed_with_its_query_and_all_weights(build: Build) -> None:
    model, space = build()
    unit = space.units[f"{BLOCK}.tokens"]
    assert (unit.width, unit.branch) == (12, f"{BLOCK}.mixers.tokens")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    keep_channels(model, space.units.values(), {unit.name: torch.tensor([1, 4, 7])})
    mixer = model.get_submodule(f"{BLOCK}.mixers.tokens")
    assert (mixer.input_proj.out_channels, mixer.output_proj.in_channels, len(mixer.queries)) == (3, 3, 3)
    assert torch.equal(mixer.queries, before[f"{BLOCK}.mixers.tokens.queries"][[1, 4, 7]])
    unchanged = {name for name, tensor in model.state_dict().items() if tensor.shape == before[name].shape}
    assert f"{BLOCK}.mixers.tokens.encoder.key.weight" in unchanged
    assert model(torch.zeros(2, 3, 37, 55)).shape == (2, 5)
    keep_channels(model, space.units.values(), {unit.name: torch.arange(0)})
    assert present_widths(model, space.units.values())[unit.name] == 0
    assert not [name for name in model.state_dict() if name.startswith(f"{BLOCK}.mixers")]


def test_training_goes_on_after_tokens_are_cut(build: Build) -> None:
    model, space = build()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, targets = torch.randn(4, 3, 37, 55), torch.tensor([0, 1, 2, 3])

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model.train()(x), targets).backward()
        optimizer.step()

    step()
    mixer = model.get_submodule(f"{BLOCK}.mixers.tokens")
    momentum = optimizer.state[mixer.queries]["momentum_buffer"].clone()
    kept = {name: torch.tensor([0, 3]) for name in space.units}
    keep_channels(model, space.units.values(), kept, optimizer)
    assert torch.equal(optimizer.state[mixer.queries]["momentum_buffer"], momentum[[0, 3]])
    before = {name: parameter.clone() for name, parameter in mixer.named_parameters()}
    step()
    still = [name for name, parameter in mixer.named_parameters() if torch.equal(parameter, before[name])]
    assert not still


@torch.no_grad()
def test_removing_tokens_that_add_nothing_changes_nothing(build: Build) -> None:
    model, space = build()
    block = model.get_submodule(BLOCK)
    x = torch.randn(2, block.c_in, 9, 9)
    mixer = block.mixers["tokens"]
    # The last three are not read by the way back, and without values no token reads another.
    mixer.output_proj.weight[:, 9:] = 0
    for layer in (mixer.encoder, mixer.decoder):
        layer.value.weight.zero_()
    expected = block(x)
    keep_channels(model, space.units.values(), {f"{BLOCK}.tokens": torch.arange(9)})
    torch.testing.assert_close(block(x), expected)


@torch.no_grad()
@pytest.mark.parametrize("form", MixConvBlock.forms)
def test_the_exported_network_is_the_same_and_so_is_its_skeleton(
    build: Build, tmp_path: Path, form: str
) -> None:
    model, space = build()
    widths = {name: (0, 5, 8)[index % 3] for index, name in enumerate(space.units)}
    with_tokens = [name.removesuffix(".tokens") for name in space.units if name.endswith(".tokens")]
    widths |= {f"{with_tokens[0]}.tokens": 0}
    widths |= {f"{with_tokens[1]}.k3": 0, f"{with_tokens[1]}.k5": 0, f"{with_tokens[1]}.tokens": 7}
    resize(model, space.units.values(), widths)
    forms = dict.fromkeys(space.blocks, form)
    write_onnx(export_onnx(deployable(model, forms), model.input_shape), tmp_path / "m.onnx", {})
    x = torch.randn(1, *model.input_shape)
    (actual,) = load((tmp_path / "m.onnx").read_bytes()).run({"x": x.numpy()})
    expected = model(x).numpy()
    np.testing.assert_allclose(actual, expected, atol=1e-4 * float(np.abs(expected).max()))
    graph = space.graph(widths, forms)
    skeleton = onnx.load_from_string(skeleton_model(graph))
    exported = onnx.load(tmp_path / "m.onnx")
    kinds, wanted = (Counter(node.op_type for node in net.graph.node) for net in (skeleton, exported))
    assert kinds.pop("Flatten") == 1 and wanted == kinds + Counter(Reshape=1)
    owners = {node.name.rpartition("/")[0] for node in skeleton.graph.node}
    assert owners == {operator.name for operator in graph}
    assert load(skeleton.SerializeToString()).run(random_inputs(graph))[0].shape == (1, 5)


def test_blocks_with_tokens_are_drawn_in_coarser_steps() -> None:
    with torch.device("meta"):
        model = build_supernet("hrnas-tiny", (3, 64, 64), 10, {"kernel_sizes": [3, 5, 7], "tokens": 64})
    space = SearchSpace(model, "hrnas-tiny")
    assert max(len(space.block_widths(block, 8)) for block in space.blocks) <= 13**3
    assert space.widths_allowed(f"{BLOCK}.tokens", 8) == [0, 16, 32, 48, 64]


def test_fewer_than_no_tokens_are_one_line(small_sizes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="tokens is a number from 0 on, got -1"):
        build_supernet("hrnas", (3, 32, 32), 5, {**small_sizes, "tokens": -1})
