"""A user's network that cannot be searched is one line that names the layer and the place in the code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import hwtickets as hw
from hwtickets.cli.profile import check
from hwtickets.errors import BudgetError, HwticketsError
from hwtickets.modules.reference import load_module
from tests.conftest import SAMPLE

NETWORKS = """
import torch
from torch import nn

class Gated(nn.Linear):
    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else x[:, :10]  # line 7

def gated():
    pool = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(1, 16, 3), *pool, nn.Sequential(Gated(16, 10)))

def wrong_size():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(), nn.Linear(7, 10))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 8, 3), nn.Linear(8, 10)

    def features(self, x):
        return self.conv(x).mean((2, 3))

class Looping(Net):
    def forward(self, x):
        y = self.features(x)
        while y.abs().max() > 1:  # line 27
            y = y / 2
        return self.head(y)

class Leaving(Net):
    def forward(self, x):
        return self.head(torch.from_numpy(self.features(x).detach().numpy()))  # line 33

class Two(Net):
    def forward(self, x):
        return self.head(self.features(x)), x

class Fixed(Net):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)

    def features(self, x):
        return self.norm(self.conv(x).mean((2, 3)))

    def forward(self, x):
        return self.head(self.features(x))
"""
NAME = "networks_that_are_bad"


@pytest.fixture(scope="module", autouse=True)
def _networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The code lies in the current folder."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / f"{NAME}.py").write_text(NETWORKS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


FORWARDS = [
    ("gated", "module 3.0: ", "dynamic control flow", f"{NAME}.py, line 7"),
    ("wrong_size", "module 2: ", "cannot be traced on an input of (1, 1, 12, 12)", "same reduction dim"),
    ("Looping", "module Looping: ", "dynamic control flow", f"{NAME}.py, line 27"),
    ("Leaving", "module Leaving: ", "dynamic control flow", f"{NAME}.py, line 33"),
]


@pytest.mark.parametrize(("network", "where", "what", "place"), FORWARDS)
def test_in_python(network: str, where: str, what: str, place: str) -> None:
    model = load_module(f"{NAME}:{network}", {})
    with pytest.raises(HwticketsError) as raised:
        hw.SearchSpace.from_module(model, torch.zeros(2, 1, 12, 12))
    line = str(raised.value)
    assert line.startswith(where) and what in line and place in line and "\n" not in line


def test_a_profile_of_a_budget_below_what_stays_names_the_layer() -> None:
    layers = [nn.Conv2d(1, 64, 5, padding=2), nn.ReLU(), nn.Conv2d(64, 4, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)]
    space = hw.SearchSpace.from_module(nn.Sequential(*layers, *head), torch.zeros(1, 1, 12, 12), keep=["0"])
    profile = hw.profile(space, "jetson-orin-nano", {"macs": "5%"})
    most = "what costs most of it is 0/conv (left alone as asked)"
    assert most in str(profile)
    with pytest.raises(BudgetError, match=f"the nearest feasible one is .*; {re.escape(most)}"):
        check(profile["budgets"])


@pytest.mark.parametrize(
    ("network", "code", "said"),
    [
        *[(network, 1, f"{where}|{what}|{place}") for network, where, what, place in FORWARDS[:3]],
        (
            "Two",
            2,
            f"{NAME}:Two returns several tensors (0 10, 1 1x12x12), the task takes one with 10|wrap it",
        ),
        ("Fixed", 3, f"{NAME}:Fixed: none of its channels can be removed (conv: LayerNorm averages over"),
    ],
)
def test_on_the_command_line(
    network: str, code: int, said: str, failure: Callable[..., str], tmp_path: Path
) -> None:
    what = ["--module", f"{NAME}:{network}", "--data", f"fashion-mnist:{SAMPLE}", "--resolution", "12"]
    options = ["--batch-size", "20", "--macs", "50%", "--output-dir", tmp_path / "run"]
    line = failure(code, "search", *what, *options)
    assert all(part in line for part in said.split("|")), line
