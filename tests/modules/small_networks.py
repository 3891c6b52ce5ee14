"""Networks of a few layers, each with one thing that makes removing channels hard."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.space import ModuleSpace
from hwtickets.space.layout import layouts
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import space_of

IMAGE = (3, 8, 8)


def _conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out))


class Residual(nn.Module):
    """A stem and two residual blocks, the second with a projection beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, 8)
        self.first, self.second = _conv(8, 12), _conv(12, 8)
        self.third, self.fourth, self.beside = _conv(8, 16, 3, 2), _conv(16, 16), _conv(8, 16, 1, 2)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        x = F.relu(x + self.second(F.relu(self.first(x))))
        x = F.relu(self.fourth(F.relu(self.third(x))) + self.beside(x))
        return self.head(x.mean((2, 3)))


class Grouped(nn.Module):
    """A depthwise convolution with squeeze-and-excite, one of many groups, one of few, and group norm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = _conv(3, 8), _conv(8, 8, groups=8)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.widen, self.many = _conv(8, 16, 1), _conv(16, 16, groups=8)
        self.again, self.few = _conv(16, 16, 1), _conv(16, 8, groups=2)
        self.last, self.norm = nn.Conv2d(8, 12, 1), nn.GroupNorm(4, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.depthwise(F.hardswish(self.stem(x))))
        x = x * torch.sigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = self.few(F.relu(self.again(F.relu(self.many(F.relu(self.widen(x)))))))
        return self.head(F.relu(self.norm(self.last(x))).mean((2, 3)))


class GroupedSum(nn.Module):
    """A concatenation that a convolution of groups reads and adds to."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 24, 3, padding=1), nn.Conv2d(3, 24, 1)
        self.mix, self.head = nn.Conv2d(48, 48, 3, padding=1, groups=4), nn.Linear(48, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(torch.cat([self.a(x), self.b(x)], 1))
        return self.head((y + F.relu(self.mix(y))).mean((2, 3)))


class Joined(nn.Module):
    """A concatenation, a batch norm and a convolution behind it, a shuffle and a split in halves."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = _conv(3, 8), _conv(3, 4)
        self.norm = nn.BatchNorm2d(12)
        self.wide = _conv(12, 8)
        self.left = _conv(4, 4)
        self.head = nn.Linear(8 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([F.relu(self.one(x)), F.relu(self.other(x))], 1)
        left, right = F.relu(self.wide(F.relu(self.norm(x)))).chunk(2, 1)
        x = torch.cat([self.left(left), right], 1)
        batch, channels, height, width = x.shape
        x = x.view(batch, 2, channels // 2, height, width).transpose(1, 2).flatten(1, 2)
        return self.head(F.max_pool2d(x, 2).flatten(1))


class Halves(nn.Module):
    """Halves of what a layer makes, the second one led through the blocks of a list, as detectors have them.

    Its code counts channels by numbers of its own, whose names say nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.c, self.out, self.times, self.steps = 8, 10, 2, 8
        self.make, self.join = _conv(3, 2 * self.c), _conv(3 * self.c, self.out)
        self.blocks = nn.ModuleList([nn.Sequential(_conv(self.c, 6), nn.ReLU(), _conv(6, self.c))])
        self.head = nn.Linear(self.out, 5)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(F.relu(self.make(x)).split((self.c, self.c), 1))
        for block in self.blocks:
            parts.append(parts[-1] + block(parts[-1]))
        x = F.relu(self.join(torch.cat(parts, 1)))
        return self.head(x.reshape(len(x), self.out, -1).mean(2))


class Plain(nn.Module):
    """Convolutions without norms and a flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 12, 3, 2, 1)
        self.hidden, self.head = nn.Linear(12 * 4, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.second(F.relu(self.first(x))))
        return self.head(F.gelu(self.hidden(x.flatten(1))))


class FusedAttention(nn.Module):
    """Queries, keys and values from one layer, the head count kept beside it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.attn_dim = heads, dim // heads, dim
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, _ = x.shape
        shape = (batch, rows, 3, self.num_heads, self.head_dim)
        queries, keys, values = self.qkv(x).reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(queries, keys, values)
        return self.proj(x.transpose(1, 2).reshape(batch, rows, self.attn_dim))


class Tokens(nn.Module):
    """A vision transformer of one block, written as most hosts write it."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.place = nn.Parameter(torch.randn(1, 4, 16))
        self.norm1, self.attention = nn.LayerNorm(16), FusedAttention(16, 4)
        self.norm2, self.wide, self.narrow = nn.LayerNorm(16), nn.Linear(16, 24), nn.Linear(24, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        x = x + self.attention(self.norm1(x))
        x = x + self.narrow(F.gelu(self.wide(self.norm2(x))))
        return self.head(x.mean(1))


class Sequences(nn.Module):
    """PyTorch's own attention and recurrent layers, over rows of features."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.recurrent, self.between = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, 4)
        self.gated = nn.GRU(4, 5, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gated(self.between(self.recurrent(self.encoder(x))[0]))[0]
        return self.head(x[:, -1])


def hosted(
    network: Callable[[], nn.Module], shape: tuple[int, ...] = IMAGE
) -> tuple[HostedNetwork, ModuleSpace]:
    """A network with statistics and weights as if trained, in evaluation mode, and its space."""
    torch.manual_seed(0)
    body = network()
    with torch.no_grad():
        for part in body.modules():
            if isinstance(part, nn.BatchNorm2d | nn.GroupNorm):
                part.weight.uniform_(0.5, 1.5)
                part.bias.normal_(0, 0.2)
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_(0, 0.2)
                part.running_var.uniform_(0.5, 1.5)
    model = HostedNetwork(body, shape).eval()
    space = space_of(model, "module")
    assert isinstance(space, ModuleSpace)
    return model, space


def some_channels(space: ModuleSpace, seed: int) -> dict[str, Tensor]:
    """Any of the channels of every unit, at least one."""
    random = torch.Generator().manual_seed(seed)
    kept = {}
    for name, unit in space.units.items():
        count = int(torch.randint(1, unit.width + 1, (1,), generator=random))
        kept[name] = torch.randperm(unit.width, generator=random)[:count].sort().values
    return kept


def masked(model: HostedNetwork, space: ModuleSpace, kept: Mapping[str, Tensor]) -> HostedNetwork:
    """A copy of a whole network in which all entries of the other channels are zero."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for (module, name, dim), layout in layouts(copied, space.units.values(), space.dense()):
            tensor = getattr(copied.get_submodule(module), name)
            gone = torch.ones(tensor.shape[dim], dtype=torch.bool)
            gone[layout.kept(kept)] = False
            tensor.index_fill_(dim, gone.nonzero().flatten(), 0.0)
    return copied


def shrunk(model: HostedNetwork, space: ModuleSpace, kept: Mapping[str, Tensor]) -> HostedNetwork:
    """A copy of a network without the other channels."""
    copied = copy.deepcopy(model)
    keep_channels(copied, space.units.values(), kept)
    return copied
