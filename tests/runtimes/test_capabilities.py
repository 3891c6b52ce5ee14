"""Every runtime that is here does what it is said to do, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices.runtimes import LOCAL_RUNTIMES, lacking
from hwtickets.errors import HwticketsError
from hwtickets.runtimes import NoProfileError, load, local_runtime
from hwtickets.runtimes.capabilities import CAPABILITIES
from hwtickets.runtimes.precision import at_precision

IMAGES = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)
MAKERS: dict[str, Callable[[bytes], bytes]] = {
    "fp32": lambda model: model,
    "fp16": lambda model: at_precision(model, "fp16"),
    "bf16": lambda model: at_precision(model, "bf16"),
    "int8": lambda model: Quantizer(model, recipe_for("onnxruntime"), IMAGES).quantized(),
}


def test_every_runtime_of_this_machine_says_what_it_can() -> None:
    assert set(LOCAL_RUNTIMES) <= set(CAPABILITIES)


@pytest.mark.parametrize("precision", MAKERS)
@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "pytorch"])
def test_graphs_run_in_the_precisions_that_are_said(model: bytes, name: str, precision: str) -> None:
    lack = lacking(name)
    if lack is not None:
        pytest.skip(lack.reason)
    inputs, graph = {"x": IMAGES[:1]}, MAKERS[precision](model)
    runtime = local_runtime(name, 1, "fp32")
    if precision not in CAPABILITIES[name].graphs:
        with pytest.raises(HwticketsError):
            runtime.load(graph)
        return
    expected, found = load(model).run(inputs)[0], runtime.load(graph).run(inputs)[0]
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "pytorch", "pytorch-compiled"])
def test_times_of_operators_are_told_where_that_is_said(model: bytes, name: str) -> None:
    lack = lacking(name)
    if lack is not None:
        pytest.skip(lack.reason)
    runtime = local_runtime(name, 1, "fp32")
    if CAPABILITIES[name].operator_times:
        assert runtime.node_times(model, {"x": IMAGES[:1]}, 2)
        return
    with pytest.raises(NoProfileError):
        runtime.node_times(model, {"x": IMAGES[:1]}, 2)
