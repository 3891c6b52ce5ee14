"""What a few training images tell of networks that are tried before one is drawn.

Networks are drawn within the budgets of a finished run in post-training, from randomly changed importances,
cut and fitted as its trials do it. Each is judged on the 8 training batches that trials have: by the task's
loss, and by how far its outputs are from those of the uncut network, which is what trials go by. The rank
correlation of both with the loss on other images, of the validation data, says which of them can be trusted:
over all networks, and over the better half, between which the trials have to decide in the end.

python -m benchmarks.trial_ranking --run runs/own
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchmarks import common
from benchmarks.common import Points, Table
from hwtickets.config import SearchConfig
from hwtickets.errors import UsageError
from hwtickets.main_job.prepared import prepare
from hwtickets.progress import Progress
from hwtickets.recipes.drawers import drawer_of, scored_point
from hwtickets.recipes.trials import scaled
from hwtickets.runs import RunFolder
from hwtickets.search.job import Job
from hwtickets.search.reconstruction import reconstruction_of
from hwtickets.search.tickets import cut, uncut_network
from hwtickets.training.batchnorm import statistics_of_batches

#: Training batches, as in the trials; validation images in a batch, and batches of them.
BATCHES, IMAGES, MORE_BATCHES = 8, 500, 8
#: By turns, what the logarithms of importances are changed by.
SPREADS = (0.2, 0.4, 0.7)
#: Networks of which the better half can be ranked.
_FEWEST = 3
#: What a network is judged by.
FIGURES = ("loss, training images", "distance, training images")

Batches = Sequence[tuple[Tensor, Tensor]]


class Judge:
    """Figures of networks on the same images.

    Args:
        job: The job.
        uncut: The network that they were cut out of.
    """

    def __init__(self, job: Job, uncut: nn.Module) -> None:
        self._task, self._temperature = job.task, job.config.distill_temperature
        self._few: Batches = [job.task.train_batch(step) for step in range(BATCHES)]
        self._many: Batches = list(islice(job.task.validation_batches(IMAGES), MORE_BATCHES))
        with torch.no_grad():
            self._taught = [uncut.eval()(x) for x, _ in self._few]

    @torch.no_grad()
    def figures(self, model: nn.Module) -> dict[str, float]:
        """Those of `FIGURES`, and `expected`: the loss on the validation images."""
        with statistics_of_batches(model):
            few, many = ([model(x) for x, _ in batches] for batches in (self._few, self._many))
        distances = [
            self._task.imitation_loss(outputs, taught, self._temperature)
            for outputs, taught in zip(few, self._taught, strict=True)
        ]
        found = (self._loss(few, self._few), float(torch.stack(distances).mean()))
        return {**dict(zip(FIGURES, found, strict=True)), "expected": self._loss(many, self._many)}

    def _loss(self, outputs: Sequence[Tensor], batches: Batches) -> float:
        losses = [self._task.loss(given, target) for given, (_, target) in zip(outputs, batches, strict=True)]
        return float(torch.stack(losses).mean())


def networks(config: SearchConfig, count: int) -> list[dict[str, float]]:
    """Figures of that many different networks within the budgets."""
    job = Job.prepare(config, Progress())
    pricing = prepare(job).pricing(job, config.price)
    point = scored_point(job, pricing)
    fit, random = reconstruction_of(job, point), np.random.default_rng(config.seed)
    judge = Judge(job, uncut_network(point, job.space, config.supernet, job.task))
    found: dict[tuple[tuple[str, int], ...], dict[str, float]] = {}
    # Large spaces hold more networks than are asked for; a small one must not be asked for ever.
    for trial in range(4 * count):
        spread = SPREADS[trial % len(SPREADS)]
        factors = {name: math.exp(random.normal(0.0, spread)) for name in point.scores}
        own = scaled(point, factors, 0.5)
        drawn = drawer_of(job, pricing, own)(1.0, pricing.limits)
        network = tuple(sorted(drawn.widths.items()))
        if network in found:
            continue
        ticket = cut(own, drawn, job.space, config.supernet, job.task, config.mask_pattern)
        if fit:
            fit.apply(ticket)
        found[network] = judge.figures(ticket.model)
        if len(found) == count:
            break
    return list(found.values())


def correlations(found: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Spearman's rank correlation of every figure with the expected loss: of all, and of the better half.

    Raises:
        UsageError: There are too few networks to be ranked.
    """
    if len(found) < _FEWEST:
        raise UsageError(f"the run's budgets leave {len(found)} different networks; take a larger space")
    ordered = sorted(found, key=lambda one: one["expected"])
    parts = {"all": ordered, "better half": ordered[: (len(ordered) + 1) // 2]}
    return {
        figure: {
            part: float(spearmanr([one[figure] for one in ones], [one["expected"] for one in ones]).statistic)
            for part, ones in parts.items()
        }
        for figure in FIGURES
    }


def main() -> None:
    """Judges the networks and prints the correlations."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="a finished search in post-training"
    )
    parser.add_argument("--count", type=int, default=40, metavar="N", help="networks (default: 40)")
    options = parser.parse_args()
    config = SearchConfig.model_validate(RunFolder.open(options.run).config)
    points = Points("trial_ranking", options.output, config.model_dump(mode="json"))
    found = points.once({"count": options.count}, lambda: {"networks": networks(config, options.count)})
    ranked = correlations(found["networks"])
    result: dict[str, Any] = {"networks": found["networks"], "rank_correlation": ranked}
    table = Table(
        f"Rank correlation with the loss on validation images, {len(found['networks'])} networks",
        ("judged by", *next(iter(ranked.values()))),
        [[figure, *(f"{value:.2f}" for value in parts.values())] for figure, parts in ranked.items()],
    )
    common.show(result, [table], options.json)


if __name__ == "__main__":
    common.run(main)
