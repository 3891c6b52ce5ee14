"""TensorRT's Python module and a board's trtexec, both stand-ins of one build, through the real agent."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from hwtickets.devices import DeviceProfile
from hwtickets.devices.ssh.client import AgentClient
from hwtickets.devices.ssh.tensorrt_bench import TensorRTBench
from hwtickets.devices.ssh.trtexec_bench import TrtexecBench
from hwtickets.errors import DeviceError
from hwtickets.resources import resource_dir
from hwtickets.runtimes.tensorrt_record import EngineBench, EngineSettings
from hwtickets.runtimes.to_build import ANEW

DATA = Path(__file__).parents[1] / "data" / "trtexec"
LOG, LAYERS = DATA / "log-build-8.5.txt", DATA / "layers-10.json"
HELP = DATA / "trtexec-8.5.3" / "options.txt"
ORIN = {"name": "Orin", "compute_capability": "8.7"}
PLAN = b"the engine"
#: What the two builders cannot agree on: trtexec tells no memory.
OWN = {"builder", "key", "seconds", "memory_bytes"}
TRTEXEC = f"""#!{sys.executable}
import pathlib, sys
given = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
print(pathlib.Path({str(HELP)!r} if "help" in given else {str(LOG)!r}).read_text())
if "help" not in given:
    pathlib.Path(given["saveEngine"]).write_bytes({PLAN!r})
    pathlib.Path(given["exportLayerInfo"]).write_text(pathlib.Path({str(LAYERS)!r}).read_text())
    if "timingCacheFile" in given:
        pathlib.Path(given["timingCacheFile"]).write_bytes(b"times")
"""


class Tensorrt:
    """The Python module of 8.5, as far as it is asked; its builder logs what trtexec printed."""

    __version__ = "8.5.3"
    ILogger = type("ILogger", (), {"__init__": lambda self: None})
    Logger = SimpleNamespace(ERROR=1, INTERNAL_ERROR=0, WARNING=2, INFO=3)
    BuilderFlag = SimpleNamespace(FP16="FP16", INT8="INT8", SPARSE_WEIGHTS="S", GPU_FALLBACK="G")
    NetworkDefinitionCreationFlag = SimpleNamespace(EXPLICIT_BATCH=0)
    LayerType = SimpleNamespace(QUANTIZE="QuantizeLinear")
    DeviceType, ProfilingVerbosity = SimpleNamespace(DLA="DLA"), SimpleNamespace(DETAILED="DETAILED")

    class Builder:
        num_DLA_cores = 2  # noqa: N815, as it is called there

        def __init__(self, log: Any) -> None:
            self.log = log

        def create_network(self, flags: int) -> Any:
            return SimpleNamespace(num_outputs=1, num_inputs=1)

        def create_builder_config(self) -> Any:
            return Config()

        def create_optimization_profile(self) -> Any:
            return SimpleNamespace(set_shape=lambda name, *shapes: None)

        def build_serialized_network(self, network: Any, config: Any) -> bytes:
            for kind, text in re.findall(r"\[([IW])\] \[TRT\] (.*)", LOG.read_text()):
                self.log.log(Tensorrt.Logger.WARNING if kind == "W" else Tensorrt.Logger.INFO, text)
            return PLAN

    class OnnxParser:
        num_errors = 0

        def __init__(self, network: Any, log: Any) -> None:
            self.network = network

        def parse(self, model: bytes) -> bool:
            graph = onnx.load_model_from_string(model).graph
            shape = tuple(size.dim_value or -1 for size in graph.input[0].type.tensor_type.shape.dim)
            layers = [SimpleNamespace(type=node.op_type) for node in graph.node]
            self.network.num_layers, self.network.get_layer = len(layers), layers.__getitem__
            self.network.get_input = lambda index: SimpleNamespace(name="x", shape=shape)
            return True


class Config:
    """A builder's configuration; its timing cache is bytes."""

    def __getattr__(self, name: str) -> Any:
        if name == "get_timing_cache":
            return lambda: SimpleNamespace(serialize=lambda: b"times")
        return lambda *given: True


class Here:
    """The agent in this process."""

    def __init__(self, agent: Any) -> None:
        self.agent = agent

    def call(self, operation: str, limit_s: float, contents: Iterable[bytes] = (), **fields: object) -> Any:
        for content in contents:
            path = Path(self.agent._cache.path("models", hashlib.sha256(content).hexdigest()))
            path.write_bytes(content)
        answer = self.agent.answer({"id": 1, "op": operation, **fields})
        assert "result" in answer, answer
        return answer["result"]

    fetch, replace = AgentClient.fetch, AgentClient.replace

    def facts(self) -> Any:
        return SimpleNamespace(gpu=ORIN)


@pytest.fixture
def benches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[EngineBench, EngineBench]:
    monkeypatch.syspath_prepend(str(resource_dir("export") / "agent"))
    monkeypatch.setenv("HWTICKETS_AGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "trtexec").write_text(TRTEXEC)
    (tmp_path / "trtexec").chmod(0o755)
    import agent  # type: ignore[import-not-found]
    import hwt_build  # type: ignore[import-not-found]
    import hwt_plans  # type: ignore[import-not-found]
    import hwt_trtexec  # type: ignore[import-not-found]

    for module in (hwt_build, hwt_plans, hwt_trtexec):
        monkeypatch.setattr(module, "gpu", lambda: ORIN)
    for module in (hwt_build, hwt_plans):
        monkeypatch.setattr(module, "tensorrt", lambda: Tensorrt)
    told = {"layers": LAYERS.read_text(), "memory_bytes": 4096}
    monkeypatch.setattr(hwt_plans, "Engine", lambda plan, record: SimpleNamespace(told=lambda: told))
    here = Here(agent.Agent())
    here.agent._cache = agent.Cache()
    here.agent.do_open({"client": {"token": "t", "label": "test"}})
    profile = DeviceProfile(name="orin", description="", connection="ssh", host="orin", runtime="tensorrt")
    return (
        TensorRTBench(here, profile, "fp16", {}),  # type: ignore[arg-type]
        TrtexecBench(here, "orin", EngineSettings("fp16"), {}),  # type: ignore[arg-type]
    )


def _model(batch: int | str, operator: str = "Mul", **metadata: str) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, [batch, 3, 8, 8]) for name in "xy"]
    weight = helper.make_tensor("w", TensorProto.FLOAT16, [1], [1.0])
    node = helper.make_node(operator, ["x", "w"], ["y"])
    proto = helper.make_model(helper.make_graph([node], "toy", ends[:1], ends[1:], [weight]))
    helper.set_model_props(proto, metadata)
    serialized: bytes = proto.SerializeToString()
    return serialized


@pytest.mark.parametrize(
    ("batch", "operator", "settings"),
    [
        (1, "Mul", EngineSettings("fp16", dla=True)),
        ("batch", "Mul", EngineSettings("mixed")),
        (1, "Mul", EngineSettings("fp32", sparse=False)),
        (1, "QuantizeLinear", EngineSettings("fp16")),
    ],
)
def test_both_builders_give_the_same_record(
    benches: tuple[EngineBench, EngineBench], batch: int | str, operator: str, settings: EngineSettings
) -> None:
    one, other = (bench.engine(_model(batch, operator), settings).record.as_dict() for bench in benches)
    assert list(one) == list(other)
    for key in one.keys() - OWN:
        assert one[key] == other[key], key
    assert one["batches"] == ([1, 8, 32] if batch == "batch" else None)
    assert ("INT8" in one["flags"]) == (operator == "QuantizeLinear" or settings.precision == "mixed")
    assert one["sparsity"]["picked"] == ["/stem/Conv"]
    placed = {"layers": ["{ForeignNode[/stem/Conv.../body/Relu]}"], "fallback": ["head.softmax", "y copy"]}
    assert one["dla"] == (placed if settings.dla else None)
    assert (one["memory_bytes"], other["memory_bytes"]) == (4096, None)


def test_builds_share_what_they_timed_but_those_that_are_built_anew(
    benches: tuple[EngineBench, EngineBench],
) -> None:
    models = (_model(1), _model(1, number="2"), _model(1, **{ANEW: "1"}))
    for bench in benches:
        records = [bench.engine(model).record for model in models]
        assert [record.timing_cache for record in records] == ["begun", "used", "begun"]
        assert len({record.key for record in records}) == 3


def test_an_engine_that_came_with_a_bundle_takes_the_place_of_the_one_that_is_built(
    benches: tuple[EngineBench, EngineBench],
) -> None:
    for bench in benches:
        before = bench.engine(_model(1))
        before.replace(b"the engine that ships")
        after = bench.engine(_model(1))
        assert after.record.key == before.record.key
        assert after.record.sha256 == hashlib.sha256(b"the engine that ships").hexdigest()
        assert after.record.size_bytes == len(b"the engine that ships")
        assert after.read() == b"the engine that ships"


def test_a_dla_takes_no_free_batch(benches: tuple[EngineBench, EngineBench]) -> None:
    with pytest.raises(DeviceError, match="a DLA needs a fixed batch; export without --dynamic-batch"):
        benches[1].engine(_model("batch"), EngineSettings("fp16", dla=True))
