"""Two processes train as one does: real processes, gloo, one machine."""

from __future__ import annotations

import functools
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import hwtickets as hw
from hwtickets.search.points import load_point, points_in
from hwtickets.space.space import space_of
from hwtickets.sparsity.ticket import Architecture, Ticket
from hwtickets.supernets import build_supernet

PROGRAM = Path(__file__).with_name("scenarios.py")
SINGLE: dict[str, Any] = runpy.run_path(str(PROGRAM))


@dataclass
class _Ended:
    code: int
    lines: list[str]


def _run_two(
    folder: Path, *scenarios: str, machines: int = 1, program: Path = PROGRAM
) -> tuple[_Ended, _Ended]:
    """Runs the program twice with the environment that torchrun gives it on so many machines."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    places = [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank % (2 // machines)),
            "GROUP_RANK": str(rank * machines // 2),
        }
        for rank in range(2)
    ]
    shared |= {"LOCAL_WORLD_SIZE": str(2 // machines)}
    command = [sys.executable, str(program), str(folder), *scenarios]
    processes = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, **place},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in places
    ]
    try:
        outputs = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    first, second = (
        _Ended(process.returncode, output.splitlines())
        for process, output in zip(processes, outputs, strict=True)
    )
    return first, second


def _alone(name: str, folder: Path) -> dict[str, Any]:
    """The same scenario in this process."""
    scenario, _, text = name.partition(":")
    settings = json.loads(text) if text else {}
    result: dict[str, Any] = SINGLE["SCENARIOS"][scenario](folder, lambda count, note="": None, **settings)
    return result


SEARCH, TAUGHT, IN_PARTS = "two_in_one", "taught", 'taught:{"accumulate": 2}'
REFUSED, RECUT = 'taught:{"refused_at": 2}', 'taught:{"recut_at": 3}'
OWN = 'two_in_one:{"own": true, "learning_rate": 0.02}'
UNEVEN, UNEVEN_IN_PARTS = "uneven", 'uneven:{"accumulate": 2}'
FP16, UNSYNCED = 'taught:{"precision": "fp16"}', 'taught:{"sync_batchnorm": false}'


BOTH = (REFUSED, RECUT, SEARCH, OWN, TAUGHT, IN_PARTS)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Results of this process by scenario."""
    return functools.cache(lambda name: _alone(name, tmp_path_factory.mktemp("alone")))


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], _Ended, _Ended]]:
    folder = tmp_path_factory.mktemp("together")
    first, second = _run_two(folder, *BOTH, UNEVEN, UNEVEN_IN_PARTS, FP16, UNSYNCED, "die")
    assert (folder / "results.json").exists(), (first, second)
    yield json.loads((folder / "results.json").read_text()), first, second


@pytest.mark.parametrize("name", BOTH)
def test_two_processes_learn_what_one_learns(
    together: tuple[dict[str, Any], _Ended, _Ended], alone: Callable[[str], dict[str, Any]], name: str
) -> None:
    results, _, _ = together
    expected, actual = alone(name), results[name]
    assert len(actual["losses"]) == {REFUSED: 2, SEARCH: 16, OWN: 16}.get(name, 6)
    assert actual["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert actual.get("widths") == expected.get("widths")
    for key, values in expected.get("weights", {}).items():
        torch.testing.assert_close(
            torch.tensor(actual["weights"][key]), torch.tensor(values), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize("name", [SEARCH, OWN])
def test_two_processes_end_with_the_draw_points_and_the_ticket_of_one(
    together: tuple[dict[str, Any], _Ended, _Ended], alone: Callable[[str], dict[str, Any]], name: str
) -> None:
    one, several = Path(alone(name)["folder"]), Path(together[0][name]["folder"])
    paths = points_in(one)
    assert [path.name for path in paths] == [path.name for path in points_in(several)] != []
    for path in paths:
        expected, actual = load_point(path), load_point(several / path.name)
        _assert_close(actual.weights, expected.weights)
        for exact in ("masks", "origins"):
            torch.testing.assert_close(getattr(actual, exact), getattr(expected, exact), rtol=0, atol=0)
        assert (actual.step, actual.widths, actual.costs) == (expected.step, expected.widths, expected.costs)
    assert expected.masks and sum(int((~mask).sum()) for mask in expected.masks.values())
    ours, theirs = Ticket.load(one / "ticket"), Ticket.load(several / "ticket")
    assert ours.architecture == theirs.architecture
    _assert_close(theirs.weights, ours.weights)


@pytest.mark.parametrize(
    ("name", "several"), [(UNEVEN, True), (UNEVEN_IN_PARTS, True), (UNEVEN_IN_PARTS, False)]
)
def test_parts_with_few_labelled_pixels_count_as_little_as_in_the_whole_batch(
    together: tuple[dict[str, Any], _Ended, _Ended],
    alone: Callable[[str], dict[str, Any]],
    name: str,
    several: bool,
) -> None:
    whole, parted = alone(UNEVEN), together[0][name] if several else alone(name)
    assert parted["losses"] == pytest.approx(whole["losses"], rel=1e-5)
    for key, values in whole["weights"].items():
        torch.testing.assert_close(torch.tensor(parted["weights"][key]), torch.tensor(values), msg=key)


def _assert_close(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Within 1e-5 of the size of each tensor's largest entry, or of one."""
    assert set(actual) == set(expected)
    for name, tensor in expected.items():
        largest = max(1.0, float(tensor.abs().max())) if tensor.numel() else 1.0
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=1e-5 * largest, msg=name)


def test_a_users_script_runs_in_every_process_and_one_of_them_leads(tmp_path: Path) -> None:
    """The script holds the network and the task; nothing but torchrun is said of the processes."""
    torch.manual_seed(1)
    model = build_supernet("module", (1, 12, 12), 10, {"reference": SINGLE["OWN_NETWORK"]})
    space = space_of(model, "module")
    task = {"name": "custom", "data": "live:elsewhere"}
    whole = Architecture("module", model.sizes, (1, 12, 12), 10, space.dense(), space.dense(), {})
    settings = {"budgets": {"macs": "50%"}, "baseline": False, "batch_size": 20, "learning_rate": 0.02}
    Ticket(whole, dict(model.state_dict()), task, {"config": settings}).save(tmp_path / "ticket")
    first, second = _run_two(tmp_path, program=PROGRAM.with_name("own_script.py"))
    assert (first.code, second.code) == (0, 0), (first, second)
    assert first.lines[-1] == "4 steps" and second.lines == []
    hw.retrain(
        tmp_path / "ticket", epochs=1, task=SINGLE["OWN_TASK"], output_dir=tmp_path / "alone", quiet=True
    )
    together, alone = (Ticket.load(tmp_path / name).weights for name in ("new", "alone"))
    moved = 0
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-3, atol=1e-4)
        moved += not torch.equal(tensor, model.state_dict()[name])
    assert moved > 4


def test_fp16_keeps_its_scale_in_both_processes(together: tuple[dict[str, Any], _Ended, _Ended]) -> None:
    exact, rounded = together[0][TAUGHT]["losses"], together[0][FP16]["losses"]
    assert rounded == pytest.approx(exact, rel=2e-2)
    assert rounded != pytest.approx(exact, rel=1e-6)


def test_batch_norms_that_are_not_shared_see_half_a_batch(
    together: tuple[dict[str, Any], _Ended, _Ended],
) -> None:
    shared, own = together[0][TAUGHT]["losses"], together[0][UNSYNCED]["losses"]
    assert own == pytest.approx(shared, rel=0.2)
    assert own[0] != pytest.approx(shared[0], rel=1e-5)


@pytest.mark.parametrize(("name", "channels"), [(SEARCH, 96), (OWN, 40)])
def test_the_search_of_two_processes_really_shrinks(
    together: tuple[dict[str, Any], _Ended, _Ended], name: str, channels: int
) -> None:
    widths = together[0][name]["widths"]
    assert 0 < sum(widths.values()) < channels
    assert name == OWN or len(set(widths.values())) > 1


def test_a_process_that_is_left_alone_says_so_in_one_line(
    together: tuple[dict[str, Any], _Ended, _Ended],
) -> None:
    _, first, second = together
    assert first.code == -9 and second.code == 1
    assert len(second.lines) == 1, second.lines
    assert second.lines[0].startswith("error: training: another process of this training has ended")


def test_when_a_process_dies_the_first_one_stops_in_one_line_and_can_go_on_alone(tmp_path: Path) -> None:
    first, second = _run_two(tmp_path, 'two_in_one:{"kill_other_at": 7}', machines=2)
    assert (first.code, second.code) == (1, -9), (first, second)
    assert len(first.lines) == 1 and "another process of this training has ended" in first.lines[0], first
    assert (tmp_path / "two_in_one" / "search.safetensors").exists()
    resumed = _alone(SEARCH, tmp_path / "two_in_one")
    undisturbed = _alone(SEARCH, tmp_path / "alone")
    assert len(resumed["losses"]) == 16 - 4
    assert resumed["losses"] == pytest.approx(undisturbed["losses"][4:], rel=1e-5)
    assert resumed["widths"] == undisturbed["widths"]
