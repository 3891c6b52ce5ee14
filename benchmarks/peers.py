"""hwtickets beside other pruners: accuracy at equal measured latency.

Every network is trained once a seed. From there each method has the same number of training steps and the
same learning rate:

- hwtickets, two-in-one and post-training, which are given the latency budget; post-training also without
  any of these steps, and then once more with nothing but the cut, neither networks tried nor weights fitted;
- torch-pruning with its magnitude and first-order Taylor importances, ranked globally and by isomorphic
  groups, and with its sparse training, which takes as many of the steps as the search of two-in-one;
- ModelOpt FastNAS, which has a limit of FLOPs and scores widths on the validation data.

The networks of peers are trained twice: as our tickets are, with the recipe's teacher (the trained network);
and on the data alone, which is what their documentation says.

Peers know no latency budget. Theirs is kept as their users must: the knob of the pruner is bisected, each
try exported and timed beside the dense network, until one is at most 3 % below the budget; that may take as
many tries as hwtickets has draws, 10. In the end every network is timed in turns with the dense one. Channels
are rounded to what the device computes at once, but by torch-pruning to the 8 of its README: it leaves layers
whole that would round to none.

"Search" is the time up to the chosen network, that of two-in-one with its training; "all" has the training of
the chosen network besides. What is done once for all budgets (the latency table; the sparse training; the
scores of FastNAS) stands beside the hypervolume. A run that was interrupted and goes on counts the last
process only.

python -m benchmarks.peers --data cifar10:DIR --epochs 10 --dense-epochs 30 --output results/peers.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points
from benchmarks.peer_comparison import Comparison
from benchmarks.peer_methods import METHODS, missing
from benchmarks.peer_networks import NETWORKS
from benchmarks.peer_results import against_best_peer, at_equal_latency, by_budget, hypervolumes, tables_of
from hwtickets.budgets import parse_budget
from hwtickets.errors import UsageError, unknown


def arguments() -> argparse.Namespace:
    """The options of this benchmark.

    Raises:
        UsageError: A network or method is unknown, or a budget is no share of the dense latency.
    """
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument("--data", metavar="DATA", help="the data set (default: the config's)")
    parser.add_argument(
        "--networks", type=common.texts, default=list(NETWORKS), help=f"default: {','.join(NETWORKS)}"
    )
    parser.add_argument("--seeds", type=common.numbers, default=[0, 1, 2], help="default: 0,1,2")
    parser.add_argument(
        "--budgets",
        type=common.texts,
        default=["70%", "50%", "35%", "25%"],
        help="shares of the dense latency (default: 70%%,50%%,35%%,25%%)",
    )
    parser.add_argument(
        "--method",
        action="append",
        metavar="NAME",
        help=f"one of: {'; '.join(METHODS)}; repeat it for more (default: all)",
    )
    parser.add_argument("--dense-epochs", type=float, default=20, metavar="E", help="default: 20")
    parser.add_argument("--epochs", type=float, metavar="E", help="after pruning (default: the config's)")
    parser.add_argument(
        "--rate-share",
        type=float,
        default=0.5,
        metavar="SHARE",
        help="peak of the learning rate after pruning, as a share of that before (default: 0.5, within what"
        " the guide of ModelOpt advises)",
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/peers"), metavar="DIR", help="gets the run folders"
    )
    options = parser.parse_args()
    for network in options.networks:
        if network not in NETWORKS:
            raise unknown("network", network, NETWORKS)
    for method in options.method or ():
        if method not in METHODS:
            raise unknown("method", method, METHODS)
    for budget in options.budgets:
        if not parse_budget("latency", budget).relative:
            raise UsageError(f"budget '{budget}' is no share of the dense latency; write it as 50%")
    return options


def main() -> None:
    """Trains, prunes by every method and prints the comparison."""
    options = arguments()
    given = {"data": options.data, "epochs": options.epochs}
    config = common.search_config(
        options.config, **{key: value for key, value in given.items() if value is not None}
    )
    asked = options.method or list(METHODS)
    skipped = {method: reason for method in asked if (reason := missing(method))}
    methods = [method for method in asked if method not in skipped]
    settings = {
        **config.model_dump(mode="json"),
        "dense_epochs": options.dense_epochs,
        "rate_share": options.rate_share,
    }
    points = Points("peers", options.output, settings)
    result: dict[str, Any] = {"networks": [], "once": [], "without": [], "skipped": skipped}
    chance = 0.0
    for network in options.networks:
        for seed in options.seeds:
            own = config.model_copy(update={"seed": seed})
            compared = Comparison(
                network, own, options.dense_epochs, options.rate_share, options.runs, points
            )
            chance = compared.chance
            for key, found in compared.run(options.budgets, methods).items():
                result[key] += found
    result["summary"] = by_budget(result["networks"])
    result["hypervolumes"] = hypervolumes(result["networks"], chance)
    result["against_best_peer"] = against_best_peer(result["summary"])
    result["at_equal_latency"] = at_equal_latency(result["networks"])
    where = f"{config.data}, {options.dense_epochs:g} epochs and {config.epochs:g} after pruning"
    common.show(result, tables_of(result, where), options.json)


if __name__ == "__main__":
    common.run(main)
