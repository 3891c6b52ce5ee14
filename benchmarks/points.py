"""What a latency table costs: every operator of a space, a fixed number of networks, or an adaptive choice.

All are calibrated on the same 30 networks and predict the same 30 others, which none of them has seen; these
60 are measured once and come on top of each design. The full grid times each operator of aligned widths on
its own. The fixed design is 14 random networks for each unit; the first of them, as many as the adaptive
design needed, are a row of their own, and so is the beginning of the adaptive design that is enough to be as
good as the full grid. The networks that are profiled are part of all but the grid. Then: how long it takes to
price networks; the first time, the table has to learn what it says about operators without a row.

python -m benchmarks.points --output results/points.jsonl
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, percent
from benchmarks.designs import PRICED, Comparison
from hwtickets.devices import get_device
from hwtickets.progress import Progress
from hwtickets.tables.plan import Plan


def tables_of(results: Mapping[str, dict[str, Any]]) -> list[Table]:
    """One table of designs and one of prices, for all inputs."""
    columns = (
        "input",
        "design",
        "measurements",
        "minutes",
        "median error",
        "90 % are within",
        "within 10 %",
        "tau",
    )
    rows = [
        [
            shape,
            name,
            str(design["measurements"]),
            f"{design['minutes']:.2f}",
            percent(design["median_error"]),
            percent(design["p90_error"]),
            percent(design["within_10"], 0),
            f"{design['kendall_tau']:.3f}",
        ]
        for shape, result in results.items()
        for name, design in result["designs"].items()
    ]
    shared = [
        [
            shape,
            str(result["calibration_and_check"]["measurements"]),
            f"{result['calibration_and_check']['minutes']:.2f}",
        ]
        for shape, result in results.items()
    ]
    prices = [
        [
            shape,
            str(result["units"]),
            f"{result['pricing']['first_space_s']:.2f} s",
            f"{result['pricing']['space_s']:.2f} s",
            f"{PRICED:,}",
            f"{result['pricing']['networks_s']:.2f} s",
        ]
        for shape, result in results.items()
    ]
    return [
        Table("Measurements for a table, and its errors on 30 networks that it has not seen", columns, rows),
        Table(
            "On top of each design, the full grid and the fixed one included: calibration and check",
            ("input", "networks", "minutes"),
            shared,
        ),
        Table(
            "Pricing: processor time for all choices of all blocks, and for networks at once",
            ("input", "units", "choices, first", "again", "networks", "at once"),
            prices,
        ),
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument(
        "--inputs",
        type=common.texts,
        default=["1x28x28", "3x224x224"],
        metavar="CxHxW,...",
        help="channels, height and width of the inputs, one space each (default: 1x28x28,3x224x224)",
    )
    parser.add_argument(
        "--networks",
        type=int,
        metavar="N",
        help="networks of the fixed design, and of the adaptive one at most (default: 14 a unit)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the networks (default: 0)")
    return parser.parse_args()


def main() -> None:
    """Measures the designs of every input and prints their errors."""
    options = arguments()
    config = common.search_config(options.config)
    device = get_device(config.device)
    points = Points("points", options.output, {"supernet": config.supernet})
    results = {}
    for text in options.inputs:
        space = common.empty_space(config.supernet, common.input_shape(text))
        plan = Plan(space, device.alignment, options.seed, options.networks)
        comparison = Comparison(space, device, plan, options.seed, Progress())
        key = {"input": text, "networks": options.networks, "seed": options.seed}
        results[text] = points.once(key, comparison.run)
    common.show({"inputs": results}, tables_of(results), options.json)


if __name__ == "__main__":
    common.run(main)
