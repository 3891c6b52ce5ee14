"""What a device shows of a deployed network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.cli.main import run
from hwtickets.deploy.benchmarking import DENSE, TICKET, Plan, take_measurements
from hwtickets.deploy.bundle import Bundle, read_bundle, write_bundle
from hwtickets.deploy.cold import ColdStart, cold_start_here
from hwtickets.deploy.onnx_export import GraphOptions
from hwtickets.deploy.two_four import pruned, weight_sparsity
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.errors import DeviceError
from hwtickets.files import sha256_of
from hwtickets.power import EnergyPerRun, NoMeterError
from hwtickets.report.deployment import deployments_of
from hwtickets.runtimes import Timing
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.runtime import NoProfileError
from hwtickets.runtimes.tensorrt_record import BuiltEngine
from tests.deploy.test_sparse_account import PICKED, engine_record

#: Keys of a benchmark on a machine that tells neither clocks nor energy.
_MODEL_OF_A_BOARD = DeviceProfile(
    name="orin",
    description="a board",
    connection="ssh",
    host="orin",
    runtime="tensorrt",
    precisions=("fp16",),
)


@pytest.fixture(scope="module")
def bundle(run_folder: Path) -> Bundle:
    return read_bundle(run_folder / "bundle")


class _Board:
    """A device that answers with given figures: what the bench of a board with a sensor does."""

    fingerprint: Mapping[str, str] = {"runtime": "tensorrt 10.3", "precision": "fp16"}
    boards = 1

    def __init__(self, energy: EnergyPerRun | DeviceError | None = None, profiles: bool = True) -> None:
        self._energy, self._profiles = energy, profiles
        self.models: list[bytes] = []

    def time(
        self,
        models: Mapping[str, bytes],
        inputs: Any,
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        self.models += list(models.values())
        clocks = ({"gpu": 918}, {"gpu": 612})
        return {
            name: Timing([float(2 + number)] * runs, "CUDA events", 5, clocks)
            for number, name in enumerate(models)
        }

    def node_times(self, model: Any, inputs: Any, runs: int = 200) -> dict[str, NodeTime]:
        if not self._profiles:
            raise NoProfileError("this runtime tells no times of its operators")
        return {"stem.1/0_Conv": NodeTime("Convolution", 1.0)}

    def sensor(self) -> str:
        return "INA3221 VDD_IN"

    def energy(self, model: Any, inputs: Any) -> EnergyPerRun:
        if not isinstance(self._energy, EnergyPerRun):
            raise self._energy or NoMeterError("orin", "no power sensor was found")
        return self._energy


class _EngineBoard(_Board):
    """A board with TensorRT, whose answers are made up: zeros of 2:4 halve the time, one kernel is sparse."""

    def engine(self, model: Any, settings: Any = None) -> BuiltEngine:
        return BuiltEngine(engine_record(None, f"{PICKED}blocks.1.expand/14_Conv"), lambda: b"")

    def node_times(self, model: Any, inputs: Any, runs: int = 200) -> dict[str, NodeTime]:
        weights = weight_sparsity(model)
        time_ms = 0.25 if any(weight.holds for weight in weights) else 0.5
        return {weight.node: NodeTime("Convolution", time_ms) for weight in weights}


def _measured(plan: Plan, board: _Board) -> dict[str, Any]:
    return take_measurements(plan, board).summary  # type: ignore[arg-type]


def test_this_machine_shows_latency_ratio_throughput_first_run_and_layers(bundle: Bundle) -> None:
    device = get_device("cpu")
    with open_bench(device) as bench:
        found = take_measurements(Plan(bundle, device, 20, bundle, (2,), 2), bench)
    summary = found.summary
    assert summary["ratio"]["low"] <= summary["ratio"]["median"] <= summary["ratio"]["high"]
    assert summary["ratio"]["median"] == pytest.approx(1, rel=0.3), "a network against itself"
    assert summary["latency_ms"]["runs"] == len(found.samples_ms[TICKET]) == len(found.samples_ms[DENSE])
    assert len(summary["builds"][TICKET]["medians_ms"]) == 2
    only = summary["throughput"][0]
    assert only["images_per_s"] == pytest.approx(2000 / only["latency_ms"])
    assert summary["first_run"]["load_ms"] > 0 and summary["first_run"]["first_ms"] > 0
    assert {layer.block for layer in found.layers[DENSE]} >= {"stem", "blocks.0", "blocks.1"}
    assert sum(part["ms"] for part in summary["blocks"]) == pytest.approx(summary["latency_ms"]["p50"])


def test_what_is_not_available_says_why_and_is_never_0(bundle: Bundle) -> None:
    summary = _measured(Plan(bundle, _MODEL_OF_A_BOARD, 10), _Board(profiles=False))
    assert summary["energy"] == "not available: no power sensor was found"
    assert summary["blocks"] == "not available: this runtime tells no times of its operators"
    assert summary["first_run"].startswith("not available: ")
    text = json.dumps(summary)
    assert '"total_mj"' not in text and '"power_mw"' not in text


def test_a_sensor_that_stops_is_told_not_raised(bundle: Bundle) -> None:
    summary = _measured(Plan(bundle, _MODEL_OF_A_BOARD, 10), _Board(DeviceError("the sensor went away")))
    assert summary["energy"] == "not available: the sensor went away"


def test_energy_comes_with_the_power(bundle: Bundle) -> None:
    energy = EnergyPerRun(12.0, 4.0, 5000.0, runs=250, seconds=3.0, samples=600, sensor="INA3221 VDD_IN")
    found = _measured(Plan(bundle, _MODEL_OF_A_BOARD, 10), _Board(energy))["energy"]
    assert found["total_mj"] == 12.0 and found["power_mw"] == pytest.approx(12 * 250 / 3)


def test_clocks_and_discarded_runs_of_a_board_are_reported(bundle: Bundle) -> None:
    summary = _measured(Plan(bundle, _MODEL_OF_A_BOARD, 10), _Board())
    assert summary["clocks_mhz"] == {"before": {"gpu": 918}, "after": {"gpu": 612}}
    assert (summary["discarded_runs"], summary["throttling"]) == (5, "5 runs discarded")


def test_layers_with_2_4_weights_say_what_dense_and_sparse_took(run_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run_folder / "bundle", tmp_path / "bundle")
    (copy / "model.onnx").write_bytes(pruned(copy / "model.onnx"))
    facts = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(
        json.dumps({**facts, "onnx_sha256": sha256_of(copy / "model.onnx")}), encoding="utf-8"
    )
    plan = Plan(read_bundle(copy), _MODEL_OF_A_BOARD, 10)
    layers = take_measurements(plan, _EngineBoard()).layers[TICKET]  # type: ignore[arg-type]
    holds = {weight.node: weight.holds for weight in weight_sparsity(copy / "model.onnx")}
    assert {True, False} == set(holds.values()) and {layer.name for layer in layers} > set(holds)
    for layer in layers:
        expected = (0.5, 0.25, 0.5) if holds.get(layer.name) else (None, None, None)
        assert (layer.dense_ms, layer.sparse_ms, layer.sparse_ratio) == expected
    assert [layer.name for layer in layers if layer.sparse] == ["blocks.1.expand/14_Conv"]


def test_every_build_is_a_model_that_no_cache_knows(bundle: Bundle) -> None:
    board = _Board()
    summary = _measured(Plan(bundle, _MODEL_OF_A_BOARD, 30, builds=3), board)
    assert len(set(board.models)) == 3 and board.models[0] == bundle.model_path.read_bytes()
    assert summary["builds"][TICKET] == {
        "medians_ms": [2.0, 3.0, 4.0],
        "spread_percent": pytest.approx(200 / 3),
    }
    assert summary["latency_ms"]["runs"] == 30


def test_the_first_run_is_of_a_process_of_its_own(bundle: Bundle) -> None:
    image = bundle.samples.inputs[:1]
    found = cold_start_here(get_device("cpu"), "fp32", bundle.model_path, image)
    assert isinstance(found, ColdStart)
    assert (
        found.peak_bytes is None or found.runtime_bytes is None or found.peak_bytes > found.runtime_bytes > 0
    )


def test_a_first_run_that_fails_is_one_line(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(DeviceError, match=r"the first run failed: ONNX Runtime cannot load") as failure:
        cold_start_here(
            get_device("cpu"), "fp32", tmp_path / "model.onnx", np.zeros((1, 1, 12, 12), np.float32)
        )
    assert "\n" not in str(failure.value)


def test_the_command_leaves_a_page_a_table_and_every_sample(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = str(run_folder / "bundle")
    out = tmp_path / "found"
    line = [
        "benchmark",
        bundle,
        "--runs",
        "20",
        "--dense",
        bundle,
        "--batches",
        "2",
        "--output-dir",
        str(out),
    ]
    assert run([*line, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["layers_html"] == str(out / "layers.html")
    record = json.loads((out / "times.json").read_text())
    assert len(record["samples_ms"]["dense"]) == record["dense_latency_ms"]["runs"]
    assert (
        record["layers"]["ticket"][0]["module"]
        and record["ticket"] == read_bundle(Path(bundle)).facts["ticket"]
    )
    assert (out / "layers.csv").read_text().count("\n") == 1 + sum(map(len, record["layers"].values()))
    assert "blocks.1" in (out / "layers.html").read_text()


def test_the_report_shows_no_score_of_another_network(run_folder: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "benchmarks" / "cpu", tmp_path / "other"
    write_bundle(run_folder / "ticket", other, graph=GraphOptions(dynamic_batch=True))
    place = ["--output-dir", str(out)]
    assert run(["verify", str(run_folder / "bundle"), *place]) == 0
    assert run(["benchmark", str(other), "--runs", "5", *place]) == 0
    [mixed_up] = deployments_of(tmp_path, tmp_path)
    assert mixed_up["score"] is None and "another network" in mixed_up["unscored"]
    assert run(["verify", str(other), *place]) == 0
    [same] = deployments_of(tmp_path, tmp_path)
    assert same["score"] is not None and same["unscored"] == ""


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--batches", "4,x"], 2, "no list of positive numbers"),
        (["--batches", "0"], 2, "no list of positive numbers"),
        (["--builds", "0"], 2, "--builds"),
        (["--device", "gpu-pytorch"], 4, "NVIDIA GPU"),
        (["--device", "cpuu"], 2, "did you mean"),
    ],
)
def test_a_wrong_request_is_one_line(
    run_folder: Path, options: list[str], code: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if options[-1] == "gpu-pytorch" and shutil.which("nvidia-smi"):
        pytest.skip("there is a GPU")
    assert run(["benchmark", str(run_folder / "bundle"), *options]) == code
    shown = capsys.readouterr()
    assert shown.out == "" and reason in shown.err and shown.err.count("\n") == 1


def test_a_foreign_model_is_one_line(
    run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(run_folder / "bundle", tmp_path / "bundle")
    (bundle / "model.onnx").write_bytes(b"something else")
    assert run(["benchmark", str(bundle)]) == 1
    error = capsys.readouterr().err
    assert "not the model that" in error and error.count("\n") == 1
