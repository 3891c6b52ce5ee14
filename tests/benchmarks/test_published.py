from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.published import facts, published_widths, supernet
from hwtickets.errors import UsageError
from hwtickets.supernets import Supernet


@pytest.fixture(scope="module")
def model() -> Supernet:
    with torch.device("meta"):
        return supernet()


@pytest.fixture(scope="module")
def entries(model: Supernet) -> list[list[Any]]:
    """A made-up searched network: the first block empty, one kernel in the second, all in the others."""
    blocks = [block for _, block in model.searching_blocks()]
    described = [[block.c_out, 1, block.stride, [3, 5, 7], [16, 7, 8], True] for block in blocks]
    described[0][3:5] = [[], []]
    described[1][3:5] = [[7], [5]]
    return described


def _saved(folder: Path, entries: object) -> Path:
    file = folder / "checkpoint.json"
    file.write_text(json.dumps(entries))
    return file


def test_the_published_format_becomes_widths_and_figures(entries: list[list[Any]], tmp_path: Path) -> None:
    real = supernet()
    widths = published_widths(_saved(tmp_path, entries), real)
    blocks = [name for name, _ in real.searching_blocks()]
    assert [widths[f"{blocks[0]}.k{kernel}"] for kernel in (3, 5, 7)] == [0, 0, 0]
    assert [widths[f"{blocks[1]}.k{kernel}"] for kernel in (3, 5, 7)] == [0, 0, 5]
    assert [widths[f"{blocks[66]}.k{kernel}"] for kernel in (3, 5, 7)] == [16, 7, 8]
    found = facts(real, widths)
    assert (found["blocks"], found["empty_blocks"], found["branches"]) == (67, 1, 1 + 3 * 65)
    assert (found["not_multiples_of_8"], found["below_8"]) == (66, 66)
    assert 4e7 < found["macs"] < 2.4e9
    assert 1e6 < found["weights"] < found["params"] < 13e6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda entries: entries[1:], "does not list 67 blocks"),
        (lambda entries: {"blocks": entries}, "does not list 67 blocks"),
        (
            lambda entries: [[25, *entries[0][1:]], *entries[1:]],
            "block trunk.0.fuse.paths.0to0 is one of another",
        ),
        (lambda entries: [[24, 1, 1, [9], [4], True], *entries[1:]], "is one of another supernet"),
        (lambda entries: [[24, 1, 1, [3, 5], [4], True], *entries[1:]], "is not [channels, 1, stride"),
        (lambda entries: [[24], *entries[1:]], "is not [channels, 1, stride"),
    ],
)
def test_another_file_is_refused_in_one_line(
    model: Supernet, entries: list[list[Any]], tmp_path: Path, change: Any, reason: str
) -> None:
    with pytest.raises(UsageError) as caught:
        published_widths(_saved(tmp_path, change(entries)), model)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
