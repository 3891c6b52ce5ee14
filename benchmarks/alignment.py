"""What widths in multiples of 8 or 16 are worth: the searched network that HR-NAS published, rounded.

Its branches are as wide as the search left them. Here they are rounded up, or to the nearest multiple with
the narrowest branches dropped, which keeps the multiply-accumulates about equal. All are timed side by side,
with random weights, every block in its split form; the accuracy of rounded networks is not looked at.

python -m benchmarks.alignment --checkpoint checkpoint.json --output results/alignment.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table
from benchmarks.published import published_widths, supernet
from hwtickets import files
from hwtickets.runtimes import load, paired_ratio, time_interleaved
from hwtickets.space.space import SearchSpace
from hwtickets.tables.skeleton import skeleton_model

PUBLISHED = "as published"
#: The reference in a second session: how far two sessions of one model differ.
CONTROL = "as published, again"
MULTIPLES = (8, 16)


def rounded_up(width: int, multiple: int) -> int:
    """The next multiple; 0 stays 0."""
    return -(-width // multiple) * multiple


def nearest(width: int, multiple: int) -> int:
    """The nearest multiple, halves up; 0 for less than half of one."""
    return (2 * width + multiple) // (2 * multiple) * multiple


def variants(space: SearchSpace, published: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Widths by name of the variant; none is wider than in the supernet."""
    most = space.dense()
    found = {PUBLISHED: dict(published), CONTROL: dict(published)}
    for multiple in MULTIPLES:
        for name, rule in (("up", rounded_up), ("to nearest", nearest)):
            found[f"{name} x{multiple}"] = {
                unit: min(rule(width, multiple), most[unit]) for unit, width in published.items()
            }
    return found


def compare(space: SearchSpace, networks: Mapping[str, Mapping[str, int]], runs: int) -> dict[str, Any]:
    """Times the variants.

    Args:
        space: The search space.
        networks: Widths by name; `PUBLISHED` is the reference.
        runs: Timed runs of each.

    Returns:
        By variant: multiply-accumulates, convolutions, branches, latency in ms, and how many times as fast as
        the published widths it is, with its interval.
    """
    graphs = {name: space.graph(widths) for name, widths in networks.items()}
    sessions = {name: load(skeleton_model(graph), 1) for name, graph in graphs.items()}
    timings = time_interleaved(sessions, sessions[PUBLISHED].random_inputs(), runs)
    result = {}
    for name, timing in timings.items():
        speedup = paired_ratio(timings[PUBLISHED], timing)
        result[name] = {
            "macs": space.plain_graph(networks[name]).macs,
            "convolutions": sum(operator.spec.kind == "conv" for operator in graphs[name]),
            "branches": sum(width > 0 for width in networks[name].values()),
            "p50_ms": timing.p50_ms,
            "speedup": dict(zip(("median", "low", "high"), speedup, strict=True)),
        }
    return result


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="HR-NAS's checkpoint.json"
    )
    parser.add_argument(
        "--runs", type=int, default=300, metavar="N", help="timed runs of each (default: 300)"
    )
    return parser.parse_args()


def main() -> None:
    """Rounds the published widths, times all variants and prints the ratios."""
    options = arguments()
    model = supernet()
    published = published_widths(options.checkpoint, model)
    space = SearchSpace(model, "hrnas")
    settings = {"checkpoint": files.sha256_of(options.checkpoint), "runs": options.runs}
    points = Points("alignment", options.output, settings)
    result = points.once({}, lambda: compare(space, variants(space, published), options.runs))
    rows = [
        [
            name,
            f"{point['macs'] / 1e6:.0f} M",
            str(point["convolutions"]),
            str(point["branches"]),
            f"{point['p50_ms']:.2f} ms",
            common.ratio_text(point["speedup"]),
        ]
        for name, point in result.items()
    ]
    columns = ("widths", "MACs", "convolutions", "branches", "latency", "times as fast")
    common.show(result, [Table("The published network with aligned widths", columns, rows)], options.json)


if __name__ == "__main__":
    common.run(main)
