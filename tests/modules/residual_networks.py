"""Small networks with residual branches of every kind, and what is like one but is none."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class _Block(nn.Module):
    """Two layers as ResNets have them, the activation behind the sum a module or a function."""

    def __init__(self, channels: int, function: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.conv2, self.bn2 = (
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.Identity() if function else nn.ReLU(inplace=True)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        act = F.relu if self.function else self.relu
        y = self.bn2(self.conv2(act(self.bn1(self.conv1(x)))))
        y += x
        return act(y)


class _Bottleneck(nn.Module):
    """Three layers with two widths of their own, nothing behind the sum."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6()),
            *(nn.Conv2d(inner, inner + 4, 3, padding=1, bias=False), nn.BatchNorm2d(inner + 4), nn.ReLU6()),
            *(nn.Conv2d(inner + 4, channels, 1, bias=False), nn.BatchNorm2d(channels)),
        )
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.body(x))


class Blocks(nn.Module):
    """Blocks of all kinds, the last one without an identity beside it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.first, self.second = _Block(8, function=True), _Block(8, function=False)
        self.third, self.fourth = _Bottleneck(8, 12), _Bottleneck(8, 8)
        self.last, self.beside = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fourth(self.third(self.second(self.first(self.stem(x)))))
        x = F.relu(self.last(x)) + self.beside(x)
        return self.head(x.mean((2, 3)))


class Reading(nn.Module):
    """A branch whose sizes the code asks for, one that is read elsewhere, and one that may vanish."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(6, 10), nn.Linear(10, 6)
        self.up, self.down = nn.Linear(6, 8), nn.Linear(8, 6)
        self.out, self.back = nn.Linear(6, 7), nn.Linear(7, 6)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        batch, size = self.narrow(F.relu(self.wide(x))).shape
        x = x + self.narrow(F.relu(self.wide(x))).view(batch, size)
        seen = self.down(F.relu(self.up(x)))
        x = x + seen
        x = x + self.back(F.relu(self.out(x)))
        return self.head(nn.functional.pad(x, (0, 6)) + nn.functional.pad(seen, (6, 0)))
