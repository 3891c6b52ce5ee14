"""Bundles of networks without weights, whose answers are plain from the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper

from hwtickets.deploy.kit import write_kit
from hwtickets.deploy.samples import Samples
from hwtickets.files import sha256_of, write_json
from hwtickets.runtimes import load


@dataclass(frozen=True)
class _Toy:
    nodes: list[NodeProto]
    input_shape: list[int]
    output_shape: list[int]
    classes: list[str]
    preprocessing: dict[str, Any]


def _brightness(pooling: list[NodeProto]) -> list[NodeProto]:
    return [
        *pooling,
        helper.make_node("Neg", ["mean"], ["negative"]),
        helper.make_node("Concat", ["negative", "mean"], ["y"], axis=1),
    ]


#: "bright" if the mean of the normalised image is above 0, otherwise "dark".
_CLASSIFICATION = _Toy(
    _brightness(
        [
            helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["mean"]),
        ]
    ),
    [1, 1, 4, 4],
    [1, 2],
    ["dark", "bright"],
    {"resolution": 4, "channels": 1, "mean": [0.5], "std": [0.25]},
)
#: The same for every 4x4 pixels.
_SEGMENTATION = _Toy(
    _brightness([helper.make_node("AveragePool", ["x"], ["mean"], kernel_shape=[4, 4], strides=[4, 4])]),
    [1, 1, 16, 32],
    [1, 2, 4, 8],
    ["dark", "bright"],
    {"resolution": [16, 32], "channels": 1, "mean": [0.5], "std": [0.25]},
)
#: Each joint is where its colour is strongest.
_KEYPOINTS = _Toy(
    [helper.make_node("AveragePool", ["x"], ["y"], kernel_shape=[4, 4], strides=[4, 4])],
    [1, 3, 32, 24],
    [1, 3, 8, 6],
    ["red hand", "green hand", "blue hand"],
    {
        "resolution": [32, 24],
        "channels": 3,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
        "box_padding": 1.25,
        "output_stride": 4,
    },
)
_TOYS = {"classification": _CLASSIFICATION, "segmentation": _SEGMENTATION, "keypoints": _KEYPOINTS}


def write_toy(
    folder: Path,
    task: str,
    named: str | None = None,
    kit: str = "onnxruntime",
    runtime: str = "onnxruntime",
    **preprocessing: object,
) -> Path:
    """Writes the bundle of a task, or of one by another name; its samples are noise."""
    toy = _TOYS[task]
    folder.mkdir()
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, toy.input_shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, toy.output_shape)
    graph = helper.make_graph(toy.nodes, "toy", [x], [y])
    model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, folder / "model.onnx")
    facts = {
        "task": named or task,
        "classes": toy.classes,
        "preprocessing": {**toy.preprocessing, **preprocessing},
        "runtime": runtime,
        "input": {"name": "x", "shape": toy.input_shape},
        "output": {"name": "y", "shape": toy.output_shape},
        "precision": "fp32",
        "tolerance": 1e-4,
    }
    inputs = np.random.default_rng(0).standard_normal((5, *toy.input_shape[1:])).astype(np.float32)
    session = load(folder / "model.onnx")
    expected = np.concatenate([session.run({"x": one[None]})[0] for one in inputs])
    Samples(inputs, np.zeros(5, dtype=np.int64)).save_arrays(folder / "samples", expected=expected)
    write_kit(folder, kit, facts)
    write_json(folder / "model.json", {**facts, "onnx_sha256": sha256_of(folder / "model.onnx")})
    return folder
