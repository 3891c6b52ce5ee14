"""Real builds by TensorRT-RTX, which needs no GPU for them."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwtickets.deploy.bundle import read_bundle, write_bundle
from hwtickets.deploy.engine import build_engine, read_engine
from hwtickets.deploy.opsets import at_opset
from hwtickets.deploy.quantization import TENSORRT, X86, Quantizer
from hwtickets.deploy.two_four import pruned
from hwtickets.devices import DeviceProfile, get_device
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.tensorrt_record import EngineSettings, plain_version
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs tensorrt-rtx: pip install 'hwtickets[tensorrt-rtx]'",
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("HWTICKETS_AGENT_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def network() -> bytes:
    """Two convolutions and a classifier over 8x8 images."""
    builder = GraphBuilder(3, 8, 8)
    x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
    x = builder.conv("body", "wide", x, 32, 3, activation="relu")
    builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
    return skeleton_model(builder.graph)


def _built(model: bytes, folder: Path, **settings: Any) -> dict[str, Any]:
    path = folder / "model.onnx"
    path.write_bytes(model)
    build_engine(path, get_device("cpu"), folder, EngineSettings(**settings))
    return read_engine(folder)


@needs_rtx
def test_an_engine_is_built_without_a_gpu_and_says_that_it_is_not_measured(
    network: bytes, tmp_path: Path
) -> None:
    record = _built(network, tmp_path)
    assert record["status"].startswith("not measured: built ahead of time without a GPU")
    assert record["builder"] == "tensorrt_rtx"
    assert record["strongly_typed"] and record["gpu"] is None and record["layers"] is None
    assert {"8.6", "8.9"} <= set(record["targets"])
    assert (tmp_path / "model.engine").stat().st_size == record["size_bytes"] > 10_000


@needs_rtx
def test_an_engine_that_is_there_is_not_built_again(network: bytes, tmp_path: Path, cache: Path) -> None:
    first = _built(network, tmp_path)
    again = _built(network, tmp_path)
    assert first == again
    assert len(list((cache / "plans").glob("*.json"))) == 1
    other = _built(network, tmp_path, workspace_mb=64)
    assert other["key"] != first["key"] and other["settings"]["workspace_mb"] == 64
    assert len(list((cache / "plans").glob("*.json"))) == 2


@needs_rtx
@pytest.mark.parametrize("form", ["fp16", "2:4", "int8 for TensorRT", "open batch"])
def test_what_is_exported_for_tensorrt_is_taken(network: bytes, form: str, tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    makers = {
        "fp16": lambda: at_precision(network, "fp16"),
        "2:4": lambda: pruned(network),
        "int8 for TensorRT": lambda: Quantizer(network, TENSORRT, images).quantized(),
        "open batch": lambda: _with_open_batch(network),
    }
    record = _built(makers[form](), tmp_path)
    assert record["size_bytes"] > 10_000
    assert record["batches"] == ([1, 8, 32] if form == "open batch" else None)


@needs_rtx
def test_what_is_exported_for_x86_is_refused_with_the_form_that_is_taken(
    network: bytes, tmp_path: Path
) -> None:
    images = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    with pytest.raises(HwticketsError, match=r"refuses the operator (Quan|Dequan)tizeLinear") as caught:
        _built(Quantizer(network, X86, images).quantized(), tmp_path)
    assert "nearest supported form: symmetric S8 QuantizeLinear" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model.engine").exists()


@needs_rtx
@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (
            [("Det", ["x"], "body/det", "")],
            r"refuses the operator Det \(body/det\): it is not supported; repl",
        ),
        (
            [("MaxUnpool", ["x", "i"], "body/up", "")],
            r"refuses the operator MaxUnpool .*; nearest supported form: ConvTranspose or Resize",
        ),
        (
            [("FusedConv", ["x", "w"], "body/fused", "com.microsoft")],
            r"refuses the operator FusedConv \(body/fused\): Plugin not found",
        ),
    ],
)
def test_an_operator_that_is_refused_is_named(
    nodes: list[tuple[str, list[str], str, str]], text: str, tmp_path: Path
) -> None:
    with pytest.raises(HwticketsError, match=text) as caught:
        _built(_network_of(nodes), tmp_path)
    assert caught.value.exit_code == 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", [b"", b"\x08\n" * 20, b"no model at all"])
def test_a_damaged_model_is_one_line(model: bytes, tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match=r"model\.onnx (is damaged|holds no network).*export"):
        _built(model, tmp_path)


@needs_rtx
def test_an_accelerator_that_is_not_there_is_refused(network: bytes, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"reports no DLA"):
        _built(network, tmp_path, precision="fp16", dla=True)


@needs_rtx
def test_a_timing_cache_of_another_version_is_begun_anew(network: bytes, tmp_path: Path, cache: Path) -> None:
    (cache / "timing.cache").write_bytes(b"not a timing cache")
    assert _built(network, tmp_path)["size_bytes"] > 10_000


@needs_rtx
def test_an_engine_or_sidecar_that_was_changed_is_refused(network: bytes, tmp_path: Path) -> None:
    _built(network, tmp_path)
    engine = tmp_path / "model.engine"
    whole = engine.read_bytes()
    for other in (whole[:-100], b"foreign" + whole, b""):
        engine.write_bytes(other)
        with pytest.raises(
            HwticketsError, match=r"model\.engine: not the engine that .* describes; build it"
        ):
            read_engine(tmp_path)
    engine.write_bytes(whole)
    (tmp_path / "model.engine.json").write_text(json.dumps({"schema": 99}))
    with pytest.raises(HwticketsError, match="not a description of an engine that this version knows"):
        read_engine(tmp_path)


def test_a_folder_without_an_engine_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no description of an engine at"):
        read_engine(tmp_path)


def test_a_device_that_only_a_table_describes_builds_nothing(network: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(network)
    device = DeviceProfile(name="far", description="a table", connection="none", runtime="tensorrt")
    with pytest.raises(DeviceError, match="device far is only known from a table: no engine"):
        build_engine(tmp_path / "model.onnx", device, tmp_path)


def test_a_board_with_another_runtime_builds_nothing(network: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(network)
    device = DeviceProfile(name="pi", description="a board", connection="ssh", host="pi")
    with pytest.raises(DeviceError, match="pi runs onnxruntime, which has no engines; add it with TensorRT"):
        build_engine(tmp_path / "model.onnx", device, tmp_path)


def _with_open_batch(model: bytes) -> bytes:
    proto = onnx.load_model_from_string(model)
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del proto.graph.value_info[:]
    data: bytes = proto.SerializeToString()
    return data


def _network_of(nodes: list[tuple[str, list[str], str, str]]) -> bytes:
    made = [
        helper.make_node(
            kind,
            inputs,
            ["y"],
            name=name,
            domain=domain,
            **({"kernel_shape": [2, 2]} if "Max" in kind else {}),
        )
        for kind, inputs, name, domain in nodes
    ]
    weights = [
        numpy_helper.from_array(np.ones((8, 8, 1, 1), np.float32), "w"),
        numpy_helper.from_array(np.zeros((1, 8, 8, 8), np.int64), "i"),
    ]
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 8, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [weight for weight in weights if any(weight.name in node.input for node in made)],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    data: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return data


@needs_rtx
def test_an_exported_ticket_is_taken_in_both_opsets(ticket_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_bundle(ticket_folder, tmp_path, runtime="tensorrt")
    record = build_engine(path, get_device("cpu"), tmp_path)
    described, bundle = read_engine(tmp_path), read_bundle(tmp_path)
    assert described["model_sha256"] == described["onnx_sha256"] == bundle.facts["onnx_sha256"]
    assert described["runtime"] == record.runtime == f"TensorRT-RTX {plain_version(record.version)}"
    assert _built(at_opset(path.read_bytes(), 17), tmp_path)["key"] != record.key
