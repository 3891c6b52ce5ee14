"""Which deployed form of a block is faster: split or merged branches; residuals with or without groups.

Networks of three kinds of widths (dense, 16 channels a branch, random aligned ones). All blocks split is the
reference; against it all blocks merged, the forms that the draw would choose by the table, the residual
convolutions with their groups left in, and every block merged on its own. All timed side by side, with random
weights.

python -m benchmarks.forms --output results/forms.jsonl
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import Points, Table, microseconds
from hwtickets.costs import LatencyCost
from hwtickets.devices import DeviceProfile, get_device
from hwtickets.progress import Progress
from hwtickets.runtimes import load, paired_ratio, time_interleaved
from hwtickets.space.operators import OperatorGraph
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network
from hwtickets.tables import table_for
from hwtickets.tables.skeleton import skeleton_model

REFERENCE = "all split"
#: The reference in a second session: how far two sessions of one model differ.
CONTROL = "all split, again"
GROUPED = "all split, grouped residuals"
#: Channels a branch of the narrow network.
NARROW = 16


def networks(space: SearchSpace, alignment: int, seed: int) -> dict[str, dict[str, int]]:
    """Widths by kind of network."""
    random = np.random.default_rng(seed)
    mixed = {unit: int(random.choice(space.widths_allowed(unit, alignment))) for unit in space.units}
    narrow = {name: min(NARROW, width) for name, width in space.dense().items()}
    return {"dense": space.dense(), f"{NARROW} a branch": narrow, "mixed": mixed}


def variants(space: SearchSpace, widths: dict[str, int], latency: LatencyCost) -> dict[str, dict[str, str]]:
    """Forms by variant; only blocks with more than one branch left can be merged."""
    split = dict.fromkeys(space.blocks, "split")
    mergeable = [
        block for block, units in space.blocks.items() if sum(widths[unit] > 0 for unit in units) > 1
    ]
    drawn = price_network(space, widths, {"latency": latency.additive()})[0]
    return {
        REFERENCE: split,
        CONTROL: split,
        "all merged": dict.fromkeys(space.blocks, "merged"),
        "as drawn by the table": drawn,
        GROUPED: split,
        **{f"{block} merged": {**split, block: "merged"} for block in mergeable},
    }


def grouped(space: SearchSpace, widths: dict[str, int], forms: dict[str, str]) -> OperatorGraph:
    """The deployed network with its residual convolutions grouped, as they are trained."""
    trained = {operator.name: operator for operator in space.plain_graph(widths)}
    graph = space.graph(widths, forms)
    operators = [trained[one.name] if one.name.endswith("/residual") else one for one in graph]
    return OperatorGraph(graph.input, operators)


def compare(
    space: SearchSpace, device: DeviceProfile, widths: dict[str, int], latency: LatencyCost, runs: int
) -> dict[str, Any]:
    """Times every variant of one network.

    Args:
        space: The search space.
        device: Where to time.
        widths: Channels by unit.
        latency: Predicts, and chooses the forms of the draw.
        runs: Timed runs of each variant.

    Returns:
        By variant: latency in ms, the ratio to the reference with its interval, the predicted ratio (None for
        grouped residuals, which no table holds).
    """
    forms = variants(space, widths, latency)
    graphs = {name: space.graph(widths, chosen) for name, chosen in forms.items()}
    predicted_ms = {name: latency.predict_ms(graph)[0] for name, graph in graphs.items()}
    graphs[GROUPED] = grouped(space, widths, forms[GROUPED])
    sessions = {name: load(skeleton_model(graph), device.threads) for name, graph in graphs.items()}
    timings = time_interleaved(sessions, sessions[REFERENCE].random_inputs(), runs)
    return {
        name: {
            "p50_ms": timing.p50_ms,
            "ratio": dict(
                zip(("median", "low", "high"), paired_ratio(timing, timings[REFERENCE]), strict=True)
            ),
            "predicted_ratio": None if name == GROUPED else predicted_ms[name] / predicted_ms[REFERENCE],
            "merged": [block for block, form in forms[name].items() if form == "merged"],
        }
        for name, timing in timings.items()
    }


def row_of(kind: str, variant: str, point: dict[str, Any], reference_ms: float) -> list[str]:
    """A row of the table."""
    ratio = point["ratio"]
    return [
        kind,
        variant,
        microseconds(point["p50_ms"]),
        common.ratio_text(ratio),
        f"{1000 * (ratio['median'] - 1) * reference_ms:+.2f} us",
        "" if point["predicted_ratio"] is None else f"{point['predicted_ratio']:.3f}",
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument(
        "--runs", type=int, default=3000, metavar="N", help="timed runs of each (default: 3000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the mixed widths (default: 0)")
    parser.add_argument(
        "--input",
        type=common.input_shape,
        default=(1, 28, 28),
        metavar="CxHxW",
        help="channels, height and width of the inputs (default: 1x28x28)",
    )
    return parser.parse_args()


def main() -> None:
    """Times every variant of every network and prints the ratios."""
    options = arguments()
    config = common.search_config(options.config)
    space, device = common.empty_space(config.supernet, options.input), get_device(config.device)
    table = table_for(space, device, config.precision, Progress())
    latency = LatencyCost(table)
    settings = {
        "supernet": config.supernet,
        "input": options.input,
        "table": table.provenance,
        "runs": options.runs,
    }
    points = Points("forms", options.output, settings)
    results, rows = {}, []
    for kind, widths in networks(space, device.alignment, options.seed).items():
        key = {"network": kind, "widths": widths}
        result = points.once(key, partial(compare, space, device, widths, latency, options.runs))
        results[kind] = result
        reference_ms = result[REFERENCE]["p50_ms"]
        rows += [row_of(kind, variant, point, reference_ms) for variant, point in result.items()]
    columns = ("widths", "forms", "latency", "ratio to all split", "difference", "predicted ratio")
    table_of_forms = Table("Deployed forms, timed side by side", columns, rows)
    common.show({"networks": results}, [table_of_forms], options.json)


if __name__ == "__main__":
    common.run(main)
