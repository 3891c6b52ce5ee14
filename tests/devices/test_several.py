from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.loopback import loopback_boards, missing_reason
from hwtickets.cli.main import run
from hwtickets.devices import DeviceProfile, fingerprint, get_device, several
from hwtickets.devices.several import REFERENCE, SeveralBoards, open_boards
from hwtickets.errors import DeviceError, UsageError
from hwtickets.runtimes.bench import LocalBench, Model
from hwtickets.runtimes.onnxruntime import Array, OnnxRuntime
from hwtickets.runtimes.timing import Timing
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import random_inputs, skeleton_model


class SteadyBench(LocalBench):
    """A board on which every model takes a known time, so that what is added up can be checked."""

    def __init__(self, slowness: float) -> None:
        super().__init__(fingerprint(get_device("cpu")), OnnxRuntime(1))
        self.slowness = slowness
        self.seen: list[str] = []

    def time(
        self,
        models: Mapping[str, Model],
        inputs: Mapping[str, Array],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        self.seen += models
        return {name: Timing([self.slowness * len(name)] * runs, "known") for name in models}


MODELS: dict[str, Model] = {"a": b"", "bb": b"", "ccc": b"", REFERENCE: b""}


def test_each_model_runs_once_and_the_reference_everywhere() -> None:
    benches = [SteadyBench(1.0), SteadyBench(1.0)]
    timings = SeveralBoards(["one", "two"], benches).time(MODELS, {}, runs=3)
    assert [bench.seen for bench in benches] == [["a", "ccc", REFERENCE], ["bb", REFERENCE]]
    assert {name: timing.p50_ms for name, timing in timings.items()} == {
        "a": 1,
        "bb": 2,
        "ccc": 3,
        REFERENCE: 9,
    }


def test_times_are_those_of_the_middle_board_whatever_board_took_them() -> None:
    benches = [SteadyBench(1.0), SteadyBench(1.05), SteadyBench(1.1)]
    timings = SeveralBoards(["one", "two", "three"], benches).time(MODELS, {}, runs=3)
    expected = {name: pytest.approx(1.05 * len(name)) for name in MODELS}
    assert {name: timing.p50_ms for name, timing in timings.items()} == expected


def test_boards_that_are_not_alike_on_the_common_point_are_refused() -> None:
    boards = SeveralBoards(["quick", "lame"], [SteadyBench(1.0), SteadyBench(1.4)])
    with pytest.raises(DeviceError, match="lame takes 40 % longer than quick for the same network"):
        for _ in range(3):
            boards.time(MODELS, {}, runs=3)


def test_boards_of_which_one_was_slow_in_a_few_calls_are_alike() -> None:
    slow_at_times = SteadyBench(1.0)
    boards = SeveralBoards(["quick", "disturbed"], [SteadyBench(1.0), slow_at_times])
    for slowness in (2.0, 1.0, 2.0, 1.0):
        slow_at_times.slowness = slowness
        assert boards.time(MODELS, {}, runs=3)


def test_without_a_common_point_all_models_run_on_one_board() -> None:
    benches = [SteadyBench(1.0), SteadyBench(1.0)]
    SeveralBoards(["one", "two"], benches).time({"a": b"", "b": b""}, {}, runs=3)
    assert [bench.seen for bench in benches] == [["a", "b"], []]


def test_devices_of_other_fingerprints_are_refused_with_what_differs() -> None:
    profiles = [get_device("cpu"), get_device("cpu", threads=2)]
    with pytest.raises(UsageError, match=r"cpu and cpu are not identical.*threads: 1 -> 2"):
        open_boards(profiles, "fp32")


def test_one_board_under_two_names_is_refused_before_its_agents_end_one_another() -> None:
    boards = [
        DeviceProfile(name=name, description="", connection="ssh", host="me@nowhere.invalid")
        for name in ("one", "two")
    ]
    with pytest.raises(UsageError, match=r"one and two are one board \(me@nowhere.invalid\): name it once"):
        open_boards(boards, "fp32")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if reason := missing_reason():
        pytest.skip(reason)
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path / "home"))
    return tmp_path


def test_two_boards_run_what_one_runs(home: Path) -> None:
    builder = GraphBuilder(3, 8, 8)
    builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
    model, inputs = skeleton_model(builder.graph), random_inputs(builder.graph)
    with (
        loopback_boards(home / "ssh", "a", "b"),
        open_boards([get_device("a"), get_device("b")], "fp32") as bench,
    ):
        assert bench.boards == 2
        timings = bench.time({"1": model, "2": model, REFERENCE: model}, inputs, runs=50)
        output = bench.run(model, [inputs])[0][0]
    assert sorted(timings) == ["1", "2", REFERENCE]
    assert np.isfinite(output).all()


def test_a_table_of_two_boards_is_there_for_both(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both boards are this machine, and how busy it is must not decide this test.
    monkeypatch.setattr(several, "_MOST_DIFFERENCE", float("inf"))
    sizes = "--set stem_channels=8 --set stages=[[16,1,1]] --set kernel_sizes=[3] --set expand_ratio=2"
    with loopback_boards(home / "ssh", "a", "b"):
        line = f"table build --device a,b {sizes} --input 1x12x12 --json"
        assert run(line.split()) == 0, capsys.readouterr().err
        assert json.loads(capsys.readouterr().out)["device"] == "a"
    tables = home / "home" / "tables"
    assert sorted(path.name.partition("-")[0] for path in tables.iterdir()) == ["a", "b"]
