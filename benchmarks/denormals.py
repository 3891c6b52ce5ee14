"""What numbers below 1e-38 cost a network in ONNX Runtime, and what counting them as zero changes.

Networks of the zoo, each exported once and run in processes of its own: the first session of a process
decides for its thread. Random weights; the masks of shifted windows are those of any Swin.

python -m benchmarks.denormals
"""

from __future__ import annotations

import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.architectures import chosen
from benchmarks.zoo_ticket import Hosted
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.runtimes import load, time_interleaved
from hwtickets.runtimes.onnxruntime import Session

_NETWORKS = ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224", "mobilenetv2_050"]
_RUNS = 200
_WAYS = ("as they are", "as zero")


def main() -> None:
    """Runs every network both ways, in turns."""
    parser = common.parser(__doc__)
    parser.add_argument("--networks", type=common.texts, default=_NETWORKS, help="of the zoo")
    parser.add_argument("--rounds", type=int, default=5, help="processes of each way (default: 5)")
    options = parser.parse_args()
    found = {}
    for network in chosen(options.networks):
        hosted = Hosted.of(network)
        found[network.name] = compared(
            export_onnx(hosted.model.body, hosted.model.input_shape), options.rounds
        )
    rows = [
        [
            name,
            *(f"{one['ms'][way]:.3f}" for way in _WAYS),
            f"{one['ms']['as they are'] / one['ms']['as zero']:.2f}",
            f"{one['largest_difference']:.0e}",
        ]
        for name, one in found.items()
    ]
    columns = ["network", "as they are, ms", "as zero, ms", "times", "largest difference of outputs"]
    table = common.Table("Numbers below 1e-38 in ONNX Runtime", columns, rows)
    common.show({"networks": found}, [table], options.json)


def compared(model: bytes, rounds: int) -> dict[str, Any]:
    """Median latency in ms of both ways, and the largest difference of what they give."""
    ms: dict[str, list[float]] = {way: [] for way in _WAYS}
    outputs = {}
    for _ in range(rounds):
        for way in _WAYS:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                latency_ms, outputs[way] = process.submit(run, model, way).result()
            ms[way].append(latency_ms)
    difference = np.abs(outputs["as zero"] - outputs["as they are"]).max()
    return {
        "ms": {way: statistics.median(values) for way, values in ms.items()},
        "largest_difference": float(difference),
    }


def run(model: bytes, way: str) -> tuple[float, NDArray[np.float32]]:
    """Median latency in ms of a network in this process, and what it gives."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = load(model) if way == "as zero" else Session(ort.InferenceSession(model, options), 1)
    inputs = session.random_inputs()
    timing = time_interleaved({"network": session}, inputs, _RUNS)["network"]
    return timing.p50_ms, session.run(inputs)[0]


if __name__ == "__main__":
    common.run(main)
