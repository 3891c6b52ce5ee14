from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.timing import Timing
from hwtickets.space.operators import GraphBuilder, OperatorGraph
from hwtickets.tables.table import Calibration, LatencyTable, Row


class ToySpace:
    """Two blocks of two branches over 8x8 images; all that a table needs to know of a search space."""

    name = "toy"
    coupled = False
    input_shape = (1, 8, 8)
    units: Mapping[str, object] = {
        f"{block}.{branch}": None for block in ("b0", "b1") for branch in ("k3", "k5")
    }

    def widths_allowed(self, unit: str, alignment: int) -> list[int]:
        return list(range(0, 33, alignment))

    def dense(self) -> dict[str, int]:
        return dict.fromkeys(self.units, 32)

    def forms(self) -> dict[str, list[str]]:
        return {"b0": ["split", "merged"], "b1": ["split", "merged"]}

    def graph(self, widths: Mapping[str, int], forms: Mapping[str, str] | None = None) -> OperatorGraph:
        builder = GraphBuilder(*self.input_shape)
        x = builder.conv("stem", "conv", builder.graph.input, 16, 3, activation="relu")
        for block in ("b0", "b1"):
            hidden = {kernel: widths[f"{block}.k{kernel}"] for kernel in (3, 5)}
            hidden = {kernel: width for kernel, width in hidden.items() if width}
            if not hidden:
                continue
            if (forms or {}).get(block) == "merged":
                hidden = {max(hidden): sum(hidden.values())}
            parts = []
            for kernel, width in hidden.items():
                part = builder.conv(block, f"expand_k{kernel}", x, width, activation="relu")
                parts.append(builder.conv(block, f"depthwise_k{kernel}", part, width, kernel, groups=width))
            joined = builder.concat(block, "concat", parts) if len(parts) > 1 else parts[0]
            x = builder.conv(block, "project", joined, 16, residual=x)
        builder.linear("head", "classifier", builder.pool("head", "pool", x), 4)
        return builder.graph


class Killed(BaseException):
    """The end of a process in the middle of its work."""


class SteadyBench:
    """A device whose latencies depend on nothing but the model, so that two builds can be compared.

    A node takes 1 us and 1 us for each 100,000 multiply-accumulates; a network its nodes and 5 us, with noise
    that is drawn from its bytes.
    """

    boards = 1
    fingerprint: Mapping[str, str] = {"cpu": "steady", "runtime": "stopwatch"}

    def __init__(self, noise: float = 0.01, calls: int | None = None) -> None:
        self.noise, self.calls_left = noise, calls
        self.timed: list[str] = []

    def time(
        self,
        models: Mapping[str, Any],
        inputs: Mapping[str, Any],
        runs: int,
        warmup: int = 20,
        seconds: float | None = None,
    ) -> dict[str, Timing]:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Killed
        self.timed += [name for name in models if name.isdigit()]
        return {name: Timing([self._network_ms(model)], "thread CPU time") for name, model in models.items()}

    def node_times(self, model: Any, inputs: Mapping[str, Any], runs: int = 200) -> dict[str, NodeTime]:
        return {name: NodeTime("Conv", ms + 0.002) for name, ms in _nodes_ms(model).items()}

    def run(self, model: Any, batches: Iterable[Mapping[str, Any]]) -> list[list[Any]]:
        raise NotImplementedError

    def close(self) -> None:
        return None

    def __enter__(self) -> SteadyBench:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _network_ms(self, model: bytes) -> float:
        random = np.random.default_rng(int(hashlib.sha256(model).hexdigest()[:12], 16))
        return (0.005 + sum(_nodes_ms(model).values())) * (1 + self.noise * float(random.standard_normal()))


def _nodes_ms(model: bytes) -> dict[str, float]:
    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    sizes = {value.name: value.type.tensor_type.shape.dim for value in [*graph.value_info, *graph.output]}
    pixels = {name: np.prod([dim.dim_value for dim in dims[2:]]) for name, dims in sizes.items()}
    weights = {tensor.name: np.prod(tensor.dims) for tensor in graph.initializer}
    return {
        node.name: 0.001
        + sum(float(weights.get(name, 0)) for name in node.input) * float(pixels[node.output[0]]) / 1e8
        for node in graph.node
    }


@pytest.fixture
def steady_bench() -> Callable[..., SteadyBench]:
    """Makes a bench with the given `noise` that dies in the call after the given number of `calls`."""
    return SteadyBench


@pytest.fixture
def killed() -> type[BaseException]:
    return Killed


@pytest.fixture(scope="session")
def space() -> ToySpace:
    return ToySpace()


@pytest.fixture
def table(space: ToySpace) -> LatencyTable:
    """Every operator costs 1 us and 1 us for each 100,000 MACs, all with 10 % doubt."""
    graphs = [space.graph(dict.fromkeys(space.units, width)) for width in (16, 32)]
    specs = {operator.spec for graph in graphs for operator in graph}
    rows = {spec: Row(1e-3 + spec.macs / 1e8, 1e-4, 100, 2) for spec in sorted(specs, key=repr)}
    return LatencyTable(
        "cpu",
        "onnxruntime",
        "fp32",
        batch=1,
        alignment=16,
        fingerprint={"cpu": "toy"},
        rows=rows,
        calibration=Calibration(0.002, 1.1, 0.0005),
        error={"p90_error": 0.05, "within_10": 1.0},
        provenance={"space": "toy", "seed": 0},
    )
