from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.deployed import DENSE, INT8, TICKET, Way, bundles_of, quantized
from benchmarks.precisions import compare, verdict
from benchmarks.profile_sum import Correction, judged, measure, ways_of
from hwtickets.deploy.bundle import write_bundle
from hwtickets.devices import get_device
from hwtickets.errors import DeviceError, UsageError
from hwtickets.runtimes import load
from hwtickets.tasks.task import Task

DEVICES = [
    get_device(name)
    for name, package in (("cpu", "onnxruntime"), ("cpu-openvino", "openvino"), ("cpu-pytorch", "torch"))
    if importlib.util.find_spec(package)
]


@pytest.fixture(scope="module")
def bundles(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network three times: as the dense one, as its ticket, and in int8."""
    folder = tmp_path_factory.mktemp("bundles")
    plain = write_bundle(ticket_folder, folder / "plain")
    (folder / "int8").mkdir()
    (folder / "int8" / "model.onnx").write_bytes(quantized((plain / "model.onnx").read_bytes(), (1, 12, 12)))
    return {DENSE: plain, TICKET: plain, INT8: folder / "int8"}


def test_every_network_is_timed_and_scored_in_every_runtime(
    bundles: dict[str, Path], tiny_task: Task
) -> None:
    found = compare(bundles, DEVICES, tiny_task, 20)
    assert list(found) == [device.name for device in DEVICES]
    for device, own in found.items():
        assert own[TICKET]["to_ticket"]["median"] == own[DENSE]["to_dense"]["median"] == 1
        assert own[DENSE]["test"] == own[TICKET]["test"] == found["cpu"][TICKET]["test"]
        assert (INT8 in own) == (device != "cpu-pytorch")
        for entry in own.values():
            assert entry["latency_ms"]["low"] <= entry["latency_ms"]["median"] <= entry["latency_ms"]["high"]
    assert found["cpu"][INT8]["size_bytes"] == (bundles[INT8] / "model.onnx").stat().st_size


@pytest.mark.parametrize(("ratio", "lost", "met"), [(0.5, 0.4, True), (0.5, 0.6, False), (0.6, 0.0, False)])
def test_int8_is_worth_it_where_it_is_fast_and_exact_enough(ratio: float, lost: float, met: bool) -> None:
    eight = {"to_ticket": {"median": ratio, "low": ratio - 0.01, "high": ratio + 0.01}, "test": 90.0 - lost}
    entry = verdict("cpu", {TICKET: {"test": 90.0}, INT8: eight})
    assert entry["met"] == met
    assert entry["speedup"]["low"] < 1 / ratio < entry["speedup"]["high"]


def test_a_correction_is_found_in_networks_that_have_it() -> None:
    def network(nodes: int, operators_ms: float) -> dict[str, Any]:
        return {"nodes": nodes, "sum_ms": operators_ms + 0.002 * nodes, "latency_ms": operators_ms + 0.005}

    fitted = Correction.fitted([network(nodes, nodes**2 / 1000) for nodes in (5, 8, 13, 20)])
    assert fitted.node_ms == pytest.approx(0.002) and fitted.run_ms == pytest.approx(0.005)
    assert fitted.error(network(30, 0.4)) == pytest.approx(0, abs=1e-9)


def test_the_sum_of_a_profile_is_set_beside_the_latency(bundles: dict[str, Path]) -> None:
    plain = (bundles[TICKET] / "model.onnx").read_bytes()
    inputs = load(plain).random_inputs()
    ways = [(way.device.name, precision) for way, precision in ways_of(DEVICES)]
    assert {("cpu", "fp32"), ("cpu", "int8")} <= set(ways) and ("cpu-pytorch", "int8") not in ways
    models = {name: quantized(plain, (1, 12, 12)) for name in (TICKET, "0", "1")}
    found = measure(Way(get_device("cpu")), models, inputs, 10, 1)
    assert all(one["nodes"] > 5 and one["sum_ms"] > 0 and one["latency_ms"] > 0 for one in found.values())
    (own,) = judged(found, [TICKET])["networks"].values()
    assert own["raw_error"] == pytest.approx(own["sum_ms"] / own["latency_ms"] - 1)


def test_a_board_is_refused() -> None:
    with pytest.raises(DeviceError, match="device jetson-orin-nano is not this machine"):
        Way(get_device("jetson-orin-nano")).runtime()


def test_a_run_without_a_dense_network_is_refused(tmp_path: Path, ticket_folder: Path) -> None:
    (tmp_path / "ticket").symlink_to(ticket_folder)
    with pytest.raises(UsageError, match="no trained dense network"):
        bundles_of(SimpleNamespace(run=tmp_path))  # type: ignore[arg-type]
