"""A search to its end over networks whose channels are hard to follow: shared dimensions, branches, lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

import hwtickets as hw
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Ticket
from tests.modules.residual_networks import Blocks
from tests.modules.small_networks import IMAGE, Grouped, Halves, Joined
from tests.toy_boards import known_board, save_board_table

BOARD = "board-of-the-kinds"


@pytest.fixture(scope="module", autouse=True)
def board() -> Iterator[None]:
    with known_board(BOARD):
        yield


def _table(space: SearchSpace, folder: Path) -> str:
    random = np.random.default_rng(0)
    some = [
        {name: int(random.integers(1, u.width + 1)) for name, u in space.units.items()} for _ in range(12)
    ]
    save_board_table(BOARD, space, [space.dense(), *some], 1, folder)
    return str(folder)


def _examples(count: int, seed: int) -> TensorDataset:
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 5, (count,), generator=random)
    images = torch.randn(count, *IMAGE, generator=random)
    images[range(count), 0, targets] += 2
    return TensorDataset(images, targets)


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return 100 * (outputs.argmax(1) == targets).float().mean()


@pytest.mark.parametrize(
    ("network", "pipeline", "latency"),
    [
        (Joined, "two-in-one", "75%"),
        (Halves, "two-in-one", "75%"),
        (Grouped, "two-in-one", "75%"),
        (Blocks, "two-in-one", "40%"),
        (Blocks, "post-training", "40%"),
    ],
)
def test_a_ticket_is_found(network: type[nn.Module], pipeline: str, latency: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = network().eval()
    space = hw.SearchSpace.from_module(model, torch.zeros(1, *IMAGE))
    task = hw.Task(
        train=_examples(64, 0),
        validation=_examples(32, 1),
        loss=nn.functional.cross_entropy,
        score=_accuracy,
        metric="accuracy",
        metric_unit="%",
    )
    settings = {"table": _table(space, tmp_path / "table"), "batch_size": 16, "epochs": 1, "baseline": False}
    settings |= {"alignment": 1}
    settings |= {"trials": 3} if pipeline == "post-training" else {}
    found = hw.search(
        *(space, task, BOARD, {"latency": latency}, tmp_path / "run"),
        **{"quiet": True, "pipeline": pipeline, "recipe": "finetune", **settings},
    )
    assert found.kept
    widths = Ticket.load(found.path / "ticket").architecture.widths
    assert all(widths[name] <= unit.width for name, unit in space.units.items())
    assert (0 in widths.values()) == (network is Blocks)
    ticket = found.module()
    assert ticket(torch.zeros(2, *IMAGE)).isfinite().all()
    assert sum(map(torch.numel, ticket.parameters())) < sum(map(torch.numel, model.parameters()))
