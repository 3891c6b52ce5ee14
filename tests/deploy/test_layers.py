"""Where the time goes, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.deploy.deployed_graph import DeployedGraph
from hwtickets.deploy.layers import OVERHEAD, Layer, by_block, layer_times
from hwtickets.deploy.quantization import X86, Quantizer
from hwtickets.devices import get_device, open_bench
from hwtickets.runtimes.precision import at_precision
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.sparsity.ticket import Ticket

BLOCKS = ("blocks.0", "blocks.1")
IMAGE = np.zeros((1, 1, 12, 12), np.float32)


@pytest.fixture(scope="module")
def exact(run_folder: Path) -> bytes:
    return (run_folder / "bundle" / "model.onnx").read_bytes()


@pytest.fixture(scope="module")
def quantized(exact: bytes, run_folder: Path) -> bytes:
    with np.load(run_folder / "ticket" / "samples.npz") as samples:
        return Quantizer(exact, X86, samples["inputs"][:8]).quantized()


def _measured(model: bytes) -> list[Layer]:
    return layer_times(model, BLOCKS, open_bench(get_device("cpu")), IMAGE, 1.0)


class _Told:
    """A device that only tells what a test gives it: TensorRT's names of layers and kernels."""

    def __init__(self, runtime: str, times: Mapping[str, NodeTime]) -> None:
        self.fingerprint = {"runtime": runtime, "precision": "fp16"}
        self._times = times

    def node_times(self, *_: Any) -> Mapping[str, NodeTime]:
        return self._times


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_operator_is_in_one_layer_and_the_work_is_complete(
    precision: str, exact: bytes, quantized: bytes, run_folder: Path
) -> None:
    model = {"fp32": exact, "fp16": at_precision(exact, "fp16"), "int8": quantized}[precision]
    layers = _measured(model)
    ticket = Ticket.load(run_folder / "ticket").architecture
    _, space = ticket.build()
    assert sum(layer.macs for layer in layers) == space.graph(ticket.widths, ticket.forms).macs
    held = sum(len(layer.fused) for layer in layers)
    assert held == len(DeployedGraph(model, BLOCKS).operators)
    assert {layer.precision for layer in layers if "Conv" in layer.fused} == {precision}


def test_the_times_sum_to_the_latency_and_shares_to_one(exact: bytes) -> None:
    layers = _measured(exact)
    assert sum(layer.time_ms for layer in layers) == pytest.approx(1.0)
    assert sum(layer.share for layer in layers) == pytest.approx(1.0)
    assert layers[-1].name == OVERHEAD and layers[-1].time_ms > 0
    assert sum(float(part["ms"]) for part in by_block(layers)) == pytest.approx(1.0)


def test_layers_lead_back_to_blocks_and_modules(exact: bytes) -> None:
    found = {layer.module: layer for layer in _measured(exact) if layer.macs}
    assert next(iter(found)) == "stem.0" and list(found)[-1] == "classifier"
    expand = found["blocks.1.expand"]
    assert (expand.block, expand.fused) == ("blocks.1", ("Conv", "Relu"))
    assert (expand.input_shape, expand.output_shape) == ((1, 16, 6, 6), (1, 40, 6, 6))
    weights = 16 * 40 + 40
    assert expand.size_bytes == 4 * (16 * 36 + weights + 40 * 36), "what ReLU reads never left the processor"
    assert all(layer.sparse is False for layer in found.values()), "no CPU runtime has kernels for it"


def test_8_bits_move_a_quarter_of_the_bytes(exact: bytes, quantized: bytes) -> None:
    whole, narrow = (
        next(layer for layer in _measured(model) if layer.module == "blocks.1.expand").size_bytes
        for model in (exact, quantized)
    )
    assert 0.2 < narrow / whole < 0.3


@pytest.mark.parametrize(
    ("runtime", "kernel", "sparse"),
    [
        ("tensorrt 10.3", "sm80_xmma_fprop_sparse_conv_f16f16", True),
        ("tensorrt 10.3", "ampere_sp_h16816gemm_128x128", True),
        ("tensorrt 10.3", "sm70_xmma_fprop_conv1x1_f16", False),
        ("tensorrt 10.3", "sm80_xmma_fprop_implicit_gemm_indexed_wo_smem_dispatch", False),
        ("trtexec 10.3", "", None),
        ("onnxruntime 1.31", "", False),
    ],
)
def test_a_sparse_kernel_is_told_by_its_name(
    exact: bytes, runtime: str, kernel: str, sparse: bool | None
) -> None:
    times = {"stem.1/0_Conv": NodeTime("", 0.5, kernel), "classifier/25_Gemm": NodeTime("", 0.25, kernel)}
    first, last, overhead = layer_times(exact, BLOCKS, _Told(runtime, times), IMAGE, 1.0)  # type: ignore[arg-type]
    assert (first.sparse, first.kernel, first.precision) == (sparse, kernel, "fp16")
    assert first.operator == "Conv" and len(first.fused) > 10, "one layer for everything up to the next name"
    assert (last.module, overhead.time_ms) == ("classifier", 0.25)


def test_a_runtime_of_other_names_has_layers_without_origin(exact: bytes) -> None:
    bench = _Told(
        "tensorrt 10.3", {"Reformatting CopyNode": NodeTime("", 2.0), "stem.1/0_Conv": NodeTime("", 1.0)}
    )
    first, second, _ = layer_times(exact, BLOCKS, bench, IMAGE, 1.0)  # type: ignore[arg-type]
    assert (first.module, first.block, first.macs) == ("", "stem", 0)
    assert first.time_ms + second.time_ms == pytest.approx(1.0), "profiling may take longer than the network"


@pytest.mark.parametrize(
    ("latency_ms", "expected"),
    [
        # 2 us a node are what profiling adds.
        (0.056, [0.048, 0.008]),
        # 13 us a node are not: the machine was slower; beyond 3 us in proportion.
        (0.034, [0.034 * 47 / 54, 0.034 * 7 / 54]),
    ],
)
def test_what_profiling_adds_is_taken_off(exact: bytes, latency_ms: float, expected: list[float]) -> None:
    names = [name for name, operator in DeployedGraph(exact, BLOCKS).operators.items() if operator.macs][:2]
    times = dict(zip(names, (NodeTime("Conv", 0.05), NodeTime("Conv", 0.01)), strict=True))
    told = _Told("onnxruntime", times)
    first, last, overhead = layer_times(exact, BLOCKS, told, IMAGE, latency_ms)  # type: ignore[arg-type]
    assert [first.time_ms, last.time_ms] == pytest.approx(expected) and overhead.time_ms == 0
