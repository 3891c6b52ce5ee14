"""Hosted networks: what they refuse, and that everything is cut along."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules.building import build_module
from hwtickets.modules.gates import add_gates, fold_gates
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.space.slicing import keep_channels, present_widths, resize
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.mask import maskable_weights
from tests.modules.small_networks import (
    IMAGE,
    Plain,
    Residual,
    Sequences,
    Tokens,
    hosted,
    masked,
    some_channels,
)


class _Deciding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(_Gated())

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class _Gated(nn.Linear):
    def __init__(self) -> None:
        super().__init__(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > 0 else x[:, :4]


def test_what_cannot_be_hosted_is_said_in_one_line() -> None:
    with pytest.raises(HwticketsError, match=r"inner\.0: .*dynamic control flow"):
        HostedNetwork(_Deciding(), (6,))
    with pytest.raises(
        HwticketsError, match=r"module 0\.1: cannot be traced on an input of \(1, 3, 16, 16\)"
    ):
        HostedNetwork(nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(7, 2))), (3, 16, 16))
    with pytest.raises(UsageError, match="no parameters"):
        HostedNetwork(nn.ReLU(), (6,))
    with pytest.raises(UsageError, match="haed"):
        HostedNetwork(Plain(), IMAGE, keep=["haed"])


class _Moving(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).cpu().to(x.device)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: torch.jit.trace(Plain(), torch.zeros(1, *IMAGE)),
            "TopLevelTracedModule: TorchScript cannot",
        ),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), "module 1: its sizes are not known yet"),
        (lambda: nn.Sequential(nn.Linear(6, 2), _packed()), r"module 1: its weights are packed, quantized"),
        (
            lambda: nn.Sequential(_Moving(6, 6)),
            r"module 0: .* moves them between devices.*test_hosted.py, line",
        ),
        (lambda: nn.Linear(3, 2).half(), "module Linear: its weights are float16; give the network in fp32"),
        (lambda: _keeping(), "module _Keeping: its attribute last was computed .* cannot be copied"),
        (lambda: nn.utils.weight_norm(nn.Linear(3, 2)), "module Linear: its attribute weight was computed"),
        (lambda: Plain().state_dict(), "the model is a OrderedDict; expected a torch.nn.Module"),
        (lambda: lambda x: x, "the model is a function; expected"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_a_model_that_cannot_be_cut_is_one_line(make: Any, said: str) -> None:
    with pytest.raises(HwticketsError, match=said) as raised:
        SearchSpace.from_module(make(), torch.zeros(1, 6 if "device" in said else 3))
    assert "\n" not in str(raised.value)


class _Keeping(nn.Linear):
    """It keeps what it computed."""

    def forward(self, x: Tensor) -> Tensor:
        self.last = super().forward(x)
        return self.last


def _keeping() -> nn.Module:
    model = _Keeping(3, 2)
    model(torch.zeros(1, 3))
    return model


def test_several_inputs_are_one_line() -> None:
    with pytest.raises(UsageError, match="example_inputs holds 2 inputs; a network of one input"):
        SearchSpace.from_module(Plain(), (torch.zeros(1, *IMAGE), torch.zeros(1, 4)))


def test_whole_numbers_are_one_line() -> None:
    with pytest.raises(UsageError, match=r"example_inputs are int64; .* behind the embedding"):
        SearchSpace.from_module(nn.Embedding(4, 4), torch.zeros(1, 3, dtype=torch.int64))


def _packed() -> nn.Module:
    """A layer that keeps its weights as no tensor, as those of quantized networks do."""
    layer = nn.Linear(2, 2)
    layer._register_state_dict_hook(
        lambda _, state, prefix, __: state.update({f"{prefix}dtype": torch.qint8})
    )
    return layer


def test_a_compiled_model_is_the_one_that_was_compiled() -> None:
    model = Plain().eval()
    space = SearchSpace.from_module(torch.compile(model), torch.zeros(1, *IMAGE))
    assert space.given is not None and set(space.given) == set(model.state_dict()) and space.units


def test_a_space_remembers_the_weights_that_it_was_made_from() -> None:
    model = Plain()
    before = model.head.bias.detach().clone()
    space = SearchSpace.from_module(model, torch.zeros(1, *IMAGE))
    nn.init.ones_(model.head.bias)
    assert space.given is not None and space.given["head.bias"].equal(before)


def test_masks_leave_outputs_and_kept_modules_alone() -> None:
    layers = [nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)]
    model = HostedNetwork(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), IMAGE, keep=["2"])
    assert list(maskable_weights(model)) == ["body.0.weight"]
    assert "body.fourth.0.weight" in maskable_weights(HostedNetwork(Residual(), IMAGE))


def test_named_modules_are_left_alone() -> None:
    space = space_of(HostedNetwork(Residual(), IMAGE, keep=["third"]), "module")
    assert "third.0" not in space.units and space.unprunable["third.0"] == "left alone as asked"
    assert {"first.0", "stem.0"} & set(space.units) == {"first.0"}, "what the kept layer reads stays too"


def test_a_space_tells_its_units_and_what_is_never_cut() -> None:
    space = SearchSpace.from_module(Residual(), torch.zeros(1, *IMAGE), keep=["third"])
    first, second, *rest = str(space).splitlines()
    assert (first, second) == ("module: inputs of 3x8x8", "units")
    units, never = rest[: len(space.units)], rest[len(space.units) :]
    assert [line.split(":")[0].strip() for line in units] == list(space.units)
    assert never[0] == "never cut" and "  third.0: left alone as asked" in never


def test_optimizer_and_companions_are_cut_along() -> None:
    model, space = hosted(Plain)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.randn(2, *IMAGE)).sum().backward()
    optimizer.step()
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    before = copy.deepcopy(model)
    momentum = optimizer.state[model.body.hidden.weight]["momentum_buffer"].clone()
    kept = some_channels(space, 5)
    keep_channels(model, space.units.values(), kept, optimizer, [average])
    assert all(average[name].equal(tensor) for name, tensor in model.state_dict().items())
    columns = (kept["second"][:, None] * 4 + torch.arange(4)).flatten()
    cut = momentum[kept["hidden"]][:, columns]
    assert optimizer.state[model.body.hidden.weight]["momentum_buffer"].equal(cut)
    x = torch.randn(2, *IMAGE)
    torch.testing.assert_close(model(x), masked(before, space, kept)(x), atol=1e-5, rtol=1e-5)
    model(x).sum().backward()
    optimizer.step()


def test_a_rebuilt_network_takes_the_weights_and_knows_its_sizes() -> None:
    model, space = hosted(Tokens)
    kept = {"attention.qkv": torch.tensor([1, 3]), "wide": torch.arange(0, 24, 3)}
    keep_channels(model, space.units.values(), kept)
    rebuilt, _ = hosted(Tokens)
    resize(rebuilt, space.units.values(), {"attention.qkv": 2, "wide": 8})
    rebuilt.load_state_dict(model.state_dict())
    x = torch.randn(2, *IMAGE)
    assert rebuilt(x).equal(model(x))
    attention = rebuilt.body.attention
    assert (attention.num_heads, attention.head_dim, attention.attn_dim) == (2, 4, 8)
    assert (attention.qkv.out_features, attention.proj.in_features) == (24, 8)
    assert present_widths(rebuilt, space.units.values()) == {"attention.qkv": 2, "wide": 8}


def test_what_is_frozen_stays_frozen_in_a_network_that_is_built_anew() -> None:
    model = Residual()
    for name in ("stem", "third.0", "fourth.1"):
        model.get_submodule(name).requires_grad_(False)
    assert model.head.bias.requires_grad_(False) is model.head.bias
    reference = "tests.modules.small_networks:Residual"
    space = SearchSpace.from_module(model, torch.zeros(1, *IMAGE), reference=reference)
    assert space.sizes["frozen"] == ["stem", "third.0", "fourth.1", "head.bias"]
    rebuilt = build_module(IMAGE, 5, space.sizes)
    assert _learning(rebuilt.body) == _learning(model) and rebuilt.sizes == space.sizes


def _learning(network: nn.Module) -> list[str]:
    return [name for name, parameter in network.named_parameters() if parameter.requires_grad]


@pytest.mark.parametrize(
    ("frozen", "said"), [(["thirt"], "unknown part to freeze 'thirt'.*third"), ("stem", "frozen are lists")]
)
def test_parts_to_freeze_that_are_none_are_one_line(frozen: object, said: str) -> None:
    sizes = {"reference": "tests.modules.small_networks:Residual", "frozen": frozen}
    with pytest.raises(UsageError, match=said) as raised:
        build_module(IMAGE, 5, sizes)
    assert "\n" not in str(raised.value)


def test_gates_stand_for_channels_and_fold_away() -> None:
    model, space = hosted(Tokens)
    x = torch.randn(2, *IMAGE)
    expected, names = model(x), set(model.state_dict())
    add_gates(model, space.units.values())
    torch.testing.assert_close(model(x), expected)
    gate = model.get_submodule(space.units["attention.qkv"].importance)
    assert gate.weight.shape == (4,)
    gate.weight.data[:] = torch.tensor([0.5, 0.0, 2.0, 1.0])
    model(x).sum().backward()
    assert gate.weight.grad is not None and (gate.weight.grad != 0).all()
    gated = model(x)
    without = copy.deepcopy(model)
    keep_channels(without, space.units.values(), {"attention.qkv": torch.tensor([0, 2, 3])})
    torch.testing.assert_close(without(x), gated, atol=1e-5, rtol=1e-5)
    fold_gates(without, space.units.values())
    assert set(without.state_dict()) == names
    torch.testing.assert_close(without(x), gated, atol=1e-5, rtol=1e-5)


def test_heads_of_torchs_own_attention_come_off_without_changing_it() -> None:
    torch.manual_seed(0)
    body = Sequences().eval()
    x = torch.randn(2, 3, 8)
    expected = body(x)
    model = HostedNetwork(body, (3, 8)).eval()
    torch.testing.assert_close(model(x), expected, atol=1e-6, rtol=1e-6)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    padding = torch.tensor([[False, False, True], [False, False, False]])
    original = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    ours = copy.deepcopy(original)
    HostedNetwork(_Holding(ours), (3, 8))
    causal = torch.isinf(mask)
    found = ours(x, x, x, key_padding_mask=padding, attn_mask=causal)
    for one, other in zip(found, original(x, x, x, key_padding_mask=padding, attn_mask=causal), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


class _Holding(nn.Module):
    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.attention(x, x, x)[0]
        return mixed
