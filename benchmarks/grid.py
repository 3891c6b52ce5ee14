"""The full grid: every operator of aligned widths that a space can reach, timed on its own."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from hwtickets.progress import Progress
from hwtickets.runtimes import Bench
from hwtickets.space.operators import GraphBuilder, Operator, OperatorGraph, OperatorSpec, Value
from hwtickets.space.space import SearchSpace
from hwtickets.tables.measure import BATCH, RUNS, SECONDS_A_BATCH, WARMUP_RUNS
from hwtickets.tables.skeleton import random_inputs, skeleton_model


def grid(space: SearchSpace, alignment: int) -> list[OperatorSpec]:
    """All different operators of the space, at all combinations of aligned widths, in all deployed forms."""
    operators = list(space.fixed_operators())
    for block, forms in space.forms().items():
        for widths in space.block_widths(block, alignment):
            for form in forms:
                operators += space.block_operators(block, widths, form)
    return list(dict.fromkeys(operator.spec for operator in operators))


def measure_grid(specs: list[OperatorSpec], bench: Bench, progress: Progress) -> dict[OperatorSpec, float]:
    """Latency of each operator in ms, from networks of one operator; those with one input side by side.

    The fastest of all is mostly the start of the runtime, and is taken off every one.
    """
    by_input: dict[Value, list[OperatorSpec]] = defaultdict(list)
    for spec in specs:
        by_input[_alone(spec).input].append(spec)
    latency_ms: dict[OperatorSpec, float] = {}
    with progress.stage("full grid", total=len(specs), unit="operator") as stage:
        for together in by_input.values():
            for begin in range(0, len(together), BATCH):
                batch = {str(place): spec for place, spec in enumerate(together[begin : begin + BATCH])}
                models = {name: skeleton_model(_alone(spec)) for name, spec in batch.items()}
                inputs = random_inputs(_alone(together[0]))
                timings = bench.time(models, inputs, RUNS, WARMUP_RUNS, SECONDS_A_BATCH)
                latency_ms.update({spec: timings[name].p50_ms for name, spec in batch.items()})
                stage.advance(len(batch))
    start_ms = min(latency_ms.values())
    return {spec: ms - start_ms for spec, ms in latency_ms.items()}


def _alone(spec: OperatorSpec) -> OperatorGraph:
    """A network of one operator; the tensor that a convolution adds along is left out.

    A matrix product comes with the pooling that makes its input flat.
    """
    spec = replace(spec, residual=False)
    pieces = 2 if spec.kind == "concat" else 1
    x = Value("x", spec.c_in // pieces, spec.height, spec.width)
    inputs = [x] * pieces
    builder = GraphBuilder(x.channels, x.height, x.width)
    if spec.kind == "linear":
        inputs = [builder.pool("alone", "pool", x)]
    out_h, out_w = spec.out_size
    output = Value("alone/y", spec.c_out, out_h, out_w)
    builder.graph.operators.append(
        Operator("alone/y", spec, "alone", tuple(value.name for value in inputs), output)
    )
    return builder.graph
