"""Where the time of one network goes, from the runtime's own profile."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from hwtickets.files import read_json
from hwtickets.runtimes import gelu
from hwtickets.runtimes.denormals import denormals_as_zero
from hwtickets.runtimes.onnxruntime import CPU, Array, create_session, session_options

_SUFFIX = "_kernel_time"
#: Runs that do not count.
WARMUP_RUNS = 20
_TRIMMED_SHARE = 0.2


class NodeTime(NamedTuple):
    """Time of one node.

    Attributes:
        op_type: What the runtime executed, e.g. "Conv".
        mean_ms: Trimmed mean over the runs.
        kernel: What the runtime calls its implementation, e.g. TensorRT's tactic; "" where it does not tell.
    """

    op_type: str
    mean_ms: float
    kernel: str = ""


def node_times(
    model: bytes | Path,
    inputs: Mapping[str, Array],
    runs: int = 200,
    threads: int = 1,
    providers: Sequence[Any] = CPU,
) -> dict[str, NodeTime]:
    """Times of the nodes that the runtime executes, after its own fusions.

    Profiling costs time itself: 1 to 7 us a node are contained in every value, so the sum exceeds the
    network's latency.

    Args:
        model: A serialized ONNX model, or the file that holds one.
        inputs: What it is run on.
        runs: Runs that count, after 20 that do not. The profile knows whole microseconds only, so short
            nodes need many runs.
        threads: Threads to compute with.
        providers: What computes; see `create_session`.

    Returns:
        Times by node name, in order of execution. Fusion renames nodes: `original_name` finds the name given
        before.
    """
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = create_session(model, options, providers)
        with denormals_as_zero():
            for _ in range(WARMUP_RUNS + runs):
                session.run(None, inputs)
        events = read_json(Path(session.end_profiling()), "profile of the runtime")
    durations_us: dict[str, list[float]] = {}
    op_types: dict[str, str] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
            name = event["name"].removesuffix(_SUFFIX)
            durations_us.setdefault(name, []).append(event["dur"])
            op_types[name] = event["args"]["op_name"]
    found = {name: NodeTime(op_types[name], trimmed(us) / 1e3) for name, us in durations_us.items()}
    return with_gelus_named(model, found)


def with_gelus_named(model: bytes | Path, times: Mapping[str, NodeTime]) -> dict[str, NodeTime]:
    """Times of ONNX Runtime's nodes with the names of the network's GELUs in place of the runtime's own.

    Args:
        model: As it was given to the runtime.
        times: By the runtime's names, in order of execution.
    """
    if not any(time.op_type in gelu.KINDS for time in times.values()):
        return dict(times)
    graph = onnx.load(model).graph if isinstance(model, Path) else onnx.load_from_string(model).graph
    names = gelu.named_gelus(graph, {name: time.op_type for name, time in times.items()})
    return {names.get(name, name): time for name, time in times.items()}


def original_name(node: str) -> str:
    """The name of a node, or of its output, before the runtime's changes of layout and type renamed it."""
    return re.sub(r"(_nchwc|_token_\d+)+$", "", node.removeprefix("InsertedPrecisionFreeCast_"))


def trimmed(times_us: Sequence[float]) -> float:
    """Mean over the runs that count, without the lowest and highest fifth.

    A median of whole microseconds would be a whole microsecond.

    Args:
        times_us: One entry a run, the 20 that do not count first.
    """
    ordered = np.sort(times_us[WARMUP_RUNS:])
    cut = int(len(ordered) * _TRIMMED_SHARE)
    return float(ordered[cut : len(ordered) - cut].mean())
