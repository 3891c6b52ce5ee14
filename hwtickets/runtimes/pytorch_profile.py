"""Where the time of a network goes in PyTorch, run operator by operator."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import fx

from hwtickets.runtimes.onnx_to_torch import ORIGIN
from hwtickets.runtimes.profiling import WARMUP_RUNS, NodeTime, trimmed


def on_cpu(module: fx.GraphModule, inputs: Sequence[torch.Tensor], runs: int) -> dict[str, NodeTime]:
    """Times of the nodes on the CPU, each called from Python as in the module itself.

    Args:
        module: As `to_module` makes it.
        inputs: In its order.
        runs: Runs that count, after 20 that do not.
    """
    stopwatch = _Stopwatch(module)
    for _ in range(WARMUP_RUNS + runs):
        stopwatch.run(*inputs)
    return {
        node.meta[ORIGIN].name: NodeTime(node.meta[ORIGIN].kind, trimmed(times_us) / 1e3)
        for node, times_us in stopwatch.times_us.items()
    }


def on_gpu(module: fx.GraphModule, inputs: Sequence[torch.Tensor], runs: int) -> dict[str, NodeTime]:
    """Times of the nodes' kernels on the GPU, without what launching them takes. Not run on a GPU yet.

    Args:
        module: As `to_module` makes it.
        inputs: In its order, on the GPU.
        runs: Runs that count, after 20 that do not.
    """
    labels = _Labels(module)
    for _ in range(WARMUP_RUNS):
        labels.run(*inputs)
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        for _ in range(runs):
            labels.run(*inputs)
        torch.cuda.synchronize()
    total_us = {entry.key: entry.device_time_total for entry in profiler.key_averages()}
    return {
        origin.name: NodeTime(origin.kind, total_us.get(origin.name, 0.0) / runs / 1e3)
        for origin in (node.meta[ORIGIN] for node in module.graph.nodes if ORIGIN in node.meta)
    }


class _Stopwatch(fx.Interpreter):
    """Runs a module and notes what every node takes."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.times_us: dict[fx.Node, list[float]] = {
            node: [] for node in module.graph.nodes if ORIGIN in node.meta
        }
        self._now_ns = time.thread_time_ns if torch.get_num_threads() == 1 else time.perf_counter_ns

    def run_node(self, n: fx.Node) -> Any:
        if n not in self.times_us:
            return super().run_node(n)
        arguments, keywords = self.fetch_args_kwargs_from_env(n)
        assert callable(n.target)
        begin_ns = self._now_ns()
        found = n.target(*arguments, **keywords)
        self.times_us[n].append((self._now_ns() - begin_ns) / 1e3)
        return found


class _Labels(fx.Interpreter):
    """Runs a module under the names of its nodes, for the profiler."""

    def run_node(self, n: fx.Node) -> Any:
        if ORIGIN not in n.meta:
            return super().run_node(n)
        with torch.profiler.record_function(n.meta[ORIGIN].name):
            return super().run_node(n)
