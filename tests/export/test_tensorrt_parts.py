"""What the builder asks of TensorRT 8.5, 10 and 11: stand-ins with the names of these versions, no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwtickets.resources import resource_dir

PARTS = str(resource_dir("export") / "agent")
#: Names that exist, by version, as NVIDIA's migration pages say.
FLAGS = {
    "8.5.2": ("FP16", "INT8", "SPARSE_WEIGHTS", "GPU_FALLBACK"),
    "10.3.0": ("FP16", "INT8", "BF16", "SPARSE_WEIGHTS", "GPU_FALLBACK"),
    "11.4.1": ("SPARSE_WEIGHTS", "GPU_FALLBACK"),
}
KINDS = {
    "8.5.2": ("EXPLICIT_BATCH",),
    "10.3.0": ("EXPLICIT_BATCH", "STRONGLY_TYPED"),
    "11.4.1": ("STRONGLY_TYPED",),
}


@pytest.fixture(scope="module")
def hwt_build() -> Iterator[ModuleType]:
    sys.path.insert(0, PARTS)
    import hwt_build  # type: ignore[import-not-found]

    yield hwt_build
    sys.path.remove(PARTS)


def _tensorrt(version: str) -> Any:
    return SimpleNamespace(
        __name__="tensorrt",
        __version__=version,
        BuilderFlag=SimpleNamespace(**{name: name for name in FLAGS[version]}),
        NetworkDefinitionCreationFlag=IntEnum(
            "Kind", {name: index for index, name in enumerate(KINDS[version])}
        ),
        DeviceType=SimpleNamespace(DLA="DLA"),
        MemoryPoolType=SimpleNamespace(WORKSPACE="WORKSPACE"),
    )


class Config:
    """A builder's configuration that remembers."""

    def __init__(self) -> None:
        self.set: list[str] = []
        self.limits: dict[str, int] = {}
        self.default_device_type: str | None = None

    def set_flag(self, flag: str) -> None:
        self.set.append(flag)

    def set_memory_pool_limit(self, pool: str, size: int) -> None:
        self.limits[pool] = size


@pytest.mark.parametrize(
    ("version", "precision", "flags"),
    [
        ("8.5.2", "fp16", ["SPARSE_WEIGHTS", "FP16"]),
        ("8.5.2", "int8", ["SPARSE_WEIGHTS", "INT8", "FP16"]),
        ("8.5.2", "mixed", ["SPARSE_WEIGHTS", "INT8", "FP16"]),
        ("8.5.2", "fp32", ["SPARSE_WEIGHTS"]),
        ("10.3.0", "int8", ["SPARSE_WEIGHTS"]),
        ("11.4.1", "fp16", ["SPARSE_WEIGHTS"]),
    ],
)
def test_precision_is_a_flag_only_where_the_graph_does_not_decide(
    hwt_build: ModuleType, version: str, precision: str, flags: list[str]
) -> None:
    trt, config = _tensorrt(version), Config()
    builder = SimpleNamespace(create_network=lambda bits: bits)
    strongly, bits = hwt_build.empty_network(trt, builder)
    assert strongly == (version != "8.5.2")
    kinds = trt.NetworkDefinitionCreationFlag
    assert bits == 1 << int(kinds["STRONGLY_TYPED" if strongly else "EXPLICIT_BATCH"])
    assert hwt_build.flags(trt, config, {"precision": precision}, strongly) == flags == config.set


@pytest.mark.parametrize(("version", "strongly"), [("8.5.2", False), ("10.3.0", False), ("11.4.1", True)])
def test_for_the_accelerator_precisions_are_allowed_where_they_can_be(
    hwt_build: ModuleType, version: str, strongly: bool
) -> None:
    builder = SimpleNamespace(create_network=lambda bits: bits)
    assert hwt_build.empty_network(_tensorrt(version), builder, dla=True)[0] == strongly


def test_sparse_kernels_can_be_left_out(hwt_build: ModuleType) -> None:
    settings = {"precision": "fp16", "sparse": False}
    assert hwt_build.flags(_tensorrt("10.3.0"), Config(), settings, True) == []


def test_the_accelerator_takes_what_it_can(hwt_build: ModuleType) -> None:
    trt, config = _tensorrt("10.3.0"), Config()
    with_dla = SimpleNamespace(num_DLA_cores=2)
    asked = {"precision": "mixed", "dla": True}
    hwt_build.dla(trt, with_dla, config, asked)
    assert config.default_device_type == "DLA"
    assert hwt_build.flags(trt, config, asked, True) == ["SPARSE_WEIGHTS", "GPU_FALLBACK"]
    plain = Config()
    hwt_build.dla(trt, with_dla, plain, {"precision": "fp16"})
    assert plain.default_device_type is None


def test_the_accelerator_takes_no_free_batch(hwt_build: ModuleType) -> None:
    free = SimpleNamespace(name="x", shape=(-1, 3, 8, 8))
    network = SimpleNamespace(num_inputs=1, get_input=lambda index: free)
    with pytest.raises(Exception, match="a DLA needs a fixed batch"):
        hwt_build.batches(None, Config(), network, dla=True)


@pytest.mark.parametrize(
    ("builder", "precision", "text"),
    [
        (SimpleNamespace(num_DLA_cores=0), "fp16", "reports no DLA"),
        (SimpleNamespace(), "fp16", "reports no DLA"),
        (SimpleNamespace(num_DLA_cores=1), "fp32", "fp16 and int8 only"),
    ],
)
def test_what_the_accelerator_cannot_is_refused(
    hwt_build: ModuleType, builder: Any, precision: str, text: str
) -> None:
    with pytest.raises(Exception, match=text) as caught:
        hwt_build.dla(_tensorrt("10.3.0"), builder, Config(), {"precision": precision, "dla": True})
    assert caught.value.code == "unavailable"  # type: ignore[attr-defined]


def test_tensorrt_itself_builds_nothing_for_a_gpu_that_is_not_there(hwt_build: ModuleType) -> None:
    with pytest.raises(Exception, match=r"TensorRT 10\.3\.0 builds on the GPU it is for"):
        hwt_build.targets(_tensorrt("10.3.0"), Config())


def test_the_workspace_is_limited_where_asked(hwt_build: ModuleType) -> None:
    config = Config()
    assert hwt_build.workspace(_tensorrt("10.3.0"), config, {"workspace_mb": 64}) == 64
    assert config.limits == {"WORKSPACE": 64 << 20}
    assert hwt_build.workspace(_tensorrt("10.3.0"), config, {}) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("false", "it is not supported"),
        ("", "it is not supported"),
        ("Invalid Node - a\nITensor: input has type Int32", "ITensor: input has type Int32"),
        ("Assertion failed: resolved(axes): Axis input must be constant", "Axis input must be constant"),
        ('creator && "Plugin not found"', "Plugin not found"),
    ],
)
def test_a_parsers_message_is_readable(hwt_build: ModuleType, text: str, said: str) -> None:
    assert hwt_build.readable(text) == said


class Memory:
    """A GPU's memory that remembers; stands in for `hwt_cuda.Cuda`."""

    stream = SimpleNamespace(value=0)

    def __init__(self) -> None:
        self.held: list[int] = []
        self.graphs = 0

    def allocate(self, size: int) -> Any:
        self.held.append(size)
        return SimpleNamespace(value=len(self.held))

    def free(self) -> None:
        self.held.clear()

    def upload(self, pointer: Any, data: bytes) -> None:
        assert len(data) == self.held[pointer.value - 1]
        self.uploaded = data

    def synchronize(self) -> None:
        """Nothing is under way."""

    def captured(self, launch: Any) -> Any:
        self.graphs += 1
        return launch


class Context:
    """An execution context: one input, and an output of two values for each of its first size."""

    shape: tuple[int, ...] = ()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape if name == "x" else (self.shape[0], 2)

    def set_tensor_address(self, name: str, address: int) -> None:
        assert address

    def execute_async_v3(self, stream: int) -> bool:
        return True


def _engine(kinds: dict[str, str], memory: Memory, **types: str) -> Any:
    """An engine of a TensorRT that has some types of data; tensors of other kinds than these are floats."""
    import hwt_engine  # type: ignore[import-not-found]

    engine = object.__new__(hwt_engine.Engine)
    engine.__dict__.update(
        record={},
        _trt=SimpleNamespace(DataType=SimpleNamespace(FLOAT="FLOAT", INT32="INT32", **types)),
        _engine=SimpleNamespace(get_tensor_dtype=lambda name: kinds.get(name, "FLOAT")),
        _context=Context(),
        _cuda=memory,
        _in=["x"],
        _out=["y"],
        _memory={},
        _shapes=None,
        _launch=None,
    )
    return engine


def test_inputs_of_one_shape_share_memory_and_graph(hwt_build: ModuleType) -> None:
    memory = Memory()
    engine = _engine({}, memory)
    for batch, graphs in ((1, 1), (1, 1), (4, 2), (1, 3)):
        engine.feed({"x": ("float32", [batch, 3], bytes(12 * batch))})
        assert memory.held == [12 * batch, 8 * batch]
        assert memory.graphs == graphs
    assert engine.record == {"cuda_graph": True}


@pytest.mark.parametrize(
    ("kind", "types", "wanted"), [("INT64", {"INT64": "INT64"}, np.int64), ("INT32", {}, np.int32)]
)
def test_words_have_as_many_bits_as_the_engine_takes(
    hwt_build: ModuleType, kind: str, types: dict[str, str], wanted: type
) -> None:
    memory, words = Memory(), np.array([[7, 1, -3]], np.int64)
    _engine({"x": kind}, memory, **types).feed({"x": ("int64", [1, 3], words.tobytes())})
    assert memory.uploaded == words.astype(wanted).tobytes()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [({"x": "HALF"}, "x is HALF, not int64"), ({"x": "INT64", "y": "HALF"}, "y is HALF, not float32")],
)
def test_a_type_that_cannot_be_bound_is_refused_by_name(
    hwt_build: ModuleType, kinds: dict[str, str], said: str
) -> None:
    from hwt_refused import Refused  # type: ignore[import-not-found]

    with pytest.raises(Refused, match=said):
        _engine(kinds, Memory(), INT64="INT64").feed({"x": ("int64", [1, 3], bytes(24))})
