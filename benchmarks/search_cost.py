"""What the search costs: a step and a whole search against plain training of the same supernet, and a draw.

Two-in-one training and plain training take turns of some steps in one process, so that both meet the same
machine. Plain training writes no checkpoints here and the search does, which counts against the search. A
draw is timed from a loaded draw point with nothing removed yet, the largest there is: for the supernet of the
search, and for a larger one on a coarse table with random scores.

python -m benchmarks.search_cost --output results/search_cost.jsonl
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.common import Points, Table
from benchmarks.turns import Turns
from hwtickets.config import SearchConfig
from hwtickets.costs import LatencyCost
from hwtickets.devices import get_device
from hwtickets.main_job.prepared import prepare
from hwtickets.progress import Progress
from hwtickets.search.job import Job
from hwtickets.search.points import DrawPoint, load_point, points_in
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import all_costs
from hwtickets.search.two_in_one import StepPlan
from hwtickets.sparsity.allocation import allocate
from hwtickets.sparsity.choices import price_space
from hwtickets.tables import LatencyTable, build_table

#: Budgets that are drawn, as shares of the dense latency, and how often each.
SHARES, REPEATS = (0.4, 0.2), 3
#: Steps of a search as a multiple of those that are timed before its first shrink.
LONG = 10


@dataclass(frozen=True)
class Bench:
    """A prepared job: its prices, its table, and how many steps a turn has."""

    job: Job
    pricing: Pricing
    table: LatencyTable
    block: int

    @staticmethod
    def of(config: SearchConfig, block: int) -> Bench:
        """Loads the data and prices the space."""
        job = Job.prepare(config, Progress())
        prepared = prepare(job)
        return Bench(job, prepared.pricing(job, "latency"), prepared.table, block)

    def step(self, steps: int) -> dict[str, Any]:
        """A step of the search before any shrink against a plain one."""
        plan, block = StepPlan(LONG * steps, 2 * LONG * steps), min(self.block, steps)
        with TemporaryDirectory(prefix="hwtickets-") as folder:
            turns = Turns(self.job, self.pricing, plan, Path(folder), block)
            turns.run(steps)
        ratios = turns.block_ratios("wall")
        return {
            "steps": steps,
            "search_step_s": statistics.median(turns.search.column("wall")),
            "plain_step_s": statistics.median(turns.plain.column("wall")),
            "ratio": statistics.median(ratios),
            "lower_quartile": float(np.percentile(ratios, 25)),
            "upper_quartile": float(np.percentile(ratios, 75)),
            "processor_ratio": statistics.median(turns.block_ratios("processor")),
        }

    def whole(self) -> dict[str, Any]:
        """A whole search against plain training for as many steps, and a draw from its first draw point."""
        plan = self.job.plan
        with TemporaryDirectory(prefix="hwtickets-") as folder:
            turns = Turns(self.job, self.pricing, plan, Path(folder), min(self.block, plan.search))
            turns.run()
            draws = time_draws(self.pricing, self.table, points_in(Path(folder))[0])
        plain_s = sum(turns.plain.column("wall"))
        return {
            "steps": plan.search,
            "search_s": turns.search_s,
            "plain_s": plain_s,
            "ratio": turns.search_s / plain_s,
            "processor_ratio": sum(turns.search.column("processor")) / sum(turns.plain.column("processor")),
            "last_turns_ratio": statistics.median(turns.block_ratios("wall")[-5:]),
            "draws": draws,
        }


def large_draws(config: SearchConfig, shape: tuple[int, int, int], networks: int) -> dict[str, Any]:
    """Draws from a larger supernet.

    Args:
        config: Names the supernet and the device.
        shape: Channels, height and width (pixels) of its inputs.
        networks: Networks of the coarse table that prices it.
    """
    space, device = common.empty_space(config.supernet, shape), get_device(config.device)
    random, dense = np.random.default_rng(0), space.dense()
    scores = {unit: torch.from_numpy(random.exponential(size=width)) for unit, width in dense.items()}
    with TemporaryDirectory(prefix="hwtickets-") as name:
        folder = Path(name)
        table = build_table(space, device, folder / "table", Progress(), networks=networks)
        pricing = Pricing(space, all_costs(LatencyCost(table)), {}, "latency", device.alignment, config.floor)
        DrawPoint(1, 0, {}, {}, scores, dense, {}).save(folder)
        return time_draws(pricing, table, points_in(folder)[0])


def time_draws(pricing: Pricing, table: LatencyTable, path: Path) -> dict[str, Any]:
    """Times pricing the space and solving the draw; the first time nothing was looked up in the table yet.

    Args:
        pricing: Space and alignment.
        table: Prices.
        path: The draw point.
    """
    point = load_point(path)
    dense_ms = pricing.costs_of(pricing.space.dense())["latency"]
    fresh = replace(table)
    seconds: list[float] = []
    for share in SHARES * REPEATS:
        begin_s = time.perf_counter()
        costs = all_costs(LatencyCost(fresh))
        priced = price_space(pricing.space, costs, pricing.alignment, point.widths, pricing.floor)
        limit_ms = max(share * dense_ms, 1.02 * priced.smallest("latency"))
        allocate(priced, point.scores, {"latency": limit_ms})
        seconds.append(time.perf_counter() - begin_s)
    return {
        "first_s": seconds[0],
        "median_s": statistics.median(seconds[1:]),
        "log10_networks": math.log10(pricing.space.size(pricing.alignment)),
    }


def rows_of(step: dict[str, Any], whole: dict[str, Any], large: dict[str, Any]) -> list[list[str]]:
    """The rows of the table: what, how much, compared with what, the aim."""
    quartiles = f"{step['lower_quartile']:.3f}-{step['upper_quartile']:.3f}"
    rows = [
        [
            "a step before any shrink",
            f"{1000 * step['search_step_s']:.1f} ms",
            f"{1000 * step['plain_step_s']:.1f} ms plain",
            f"{step['ratio']:.3f} (quartiles {quartiles})",
            f"{step['processor_ratio']:.3f}",
            "at most 1.15",
        ],
        [
            f"whole search, {whole['steps']} steps",
            f"{whole['search_s']:.1f} s",
            f"{whole['plain_s']:.1f} s plain",
            f"{whole['ratio']:.3f} (last turns {whole['last_turns_ratio']:.3f})",
            f"{whole['processor_ratio']:.3f}",
            "below 1",
        ],
    ]
    for name, draws in (("draw, this supernet", whole["draws"]), ("draw, larger supernet", large)):
        networks = f"10^{draws['log10_networks']:.0f} networks"
        first = f"{draws['first_s']:.3f} s the first time"
        rows.append([name, f"{draws['median_s']:.3f} s", networks, first, "", "below 1 s"])
    return rows


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument(
        "--steps", type=int, default=200, metavar="N", help="steps before any shrink (default: 200)"
    )
    parser.add_argument("--block", type=int, default=10, metavar="N", help="steps of a turn (default: 10)")
    parser.add_argument(
        "--epochs", type=float, metavar="E", help="passes of the whole search (default: the config's)"
    )
    parser.add_argument(
        "--large",
        type=common.input_shape,
        default=(3, 224, 224),
        metavar="CxHxW",
        help="inputs of the larger supernet (default: 3x224x224)",
    )
    parser.add_argument(
        "--large-networks",
        type=int,
        default=40,
        metavar="N",
        help="networks of its coarse table (default: 40)",
    )
    return parser.parse_args()


def main() -> None:
    """Measures steps, a search and draws."""
    options = arguments()
    epochs = {} if options.epochs is None else {"epochs": options.epochs}
    config = common.search_config(options.config, **epochs)
    points = Points("search_cost", options.output, {"config": config, "block": options.block})
    bench: list[Bench] = []

    def prepared() -> Bench:
        bench[:] = bench or [Bench.of(config, options.block)]
        return bench[0]

    step = points.once({"what": "step", "steps": options.steps}, lambda: prepared().step(options.steps))
    whole = points.once({"what": "whole"}, lambda: prepared().whole())
    large_key = {"what": "large draw", "input": options.large, "networks": options.large_networks}
    large = points.once(large_key, lambda: large_draws(config, options.large, options.large_networks))
    columns = ("what", "search", "against", "ratio", "by processor time", "aim")
    table = Table("Cost of the search", columns, rows_of(step, whole, large))
    common.show({"step": step, "whole": whole, "large_draw": large}, [table], options.json)


if __name__ == "__main__":
    common.run(main)
