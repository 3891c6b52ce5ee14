"""Draws that are tried out: units are valued anew until the network that is drawn loses the least."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwtickets import files
from hwtickets.config import SearchConfig
from hwtickets.errors import HwticketsError
from hwtickets.modules.not_finite import where_not_finite
from hwtickets.pipelines import PIPELINES
from hwtickets.progress import Stage
from hwtickets.recipes.drawers import drawer_of
from hwtickets.search.evolution import evolve
from hwtickets.search.job import MIXED, Job
from hwtickets.search.points import DrawPoint
from hwtickets.search.reconstruction import reconstruction_of
from hwtickets.search.scoring import batches_of
from hwtickets.search.shrinking import Pricing
from hwtickets.search.tickets import cut
from hwtickets.sparsity.allocation import Allocation
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.batchnorm import statistics_of_batches
from hwtickets.training.compute import Compute
from hwtickets.training.failures import one_line

#: Where a trained network is scored once.
_TRIALS = 100
#: What the trials are called where their progress is shown.
TRIALS_STAGE = "try"
#: Where their result is kept.
_FILE = "trials.json"
#: What scores are raised to at first.
_EXPONENTS = (1.0, 0.5)
#: Training batches that a network is tried on, and the images that they hold together at most.
_BATCHES, _IMAGES = 8, 512


def trials_of(config: SearchConfig) -> int:
    """How often a search tries networks before one is drawn; 0 where precisions are drawn with the widths."""
    pipeline = PIPELINES[config.pipeline]
    if pipeline.network != "valued" or config.precision == MIXED:
        return 0
    return (0 if pipeline.searches else _TRIALS) if config.trials is None else config.trials


def tried_point(job: Job, pricing: Pricing, point: DrawPoint, folder: Path, suffix: str) -> DrawPoint:
    """A point whose scores draw the network that loses the least, among those that were tried.

    The scores of single channels do not tell what the network loses when many of them go at once. So networks
    are drawn within the budgets, the scores of every unit times a factor of its own, and cut as the one that
    is taken will be; their loss on a few training batches, with their own statistics in the batch norms,
    tells which factors are better. First it tells whether the roots of the scores are: squares, as
    `TaylorImportance` gives them, value the best channels so much that a small network starves elsewhere.
    Within a unit the order of the channels stays. A pipeline that draws by no value, or that makes no trials,
    gets the point as it is.
    Source: candidates judged by their loss with adapted batch norms: EagleEye (ECCV 2020), section 3.3, there
    of random widths.

    Args:
        job: The job.
        pricing: Space, costs and budgets.
        point: Where to draw from.
        folder: Keeps the factors, so that a resumed run draws the same networks.
        suffix: Appended to the name of the stage.
    """
    trials = trials_of(job.config)
    if not trials:
        return point
    path, asked = folder / _FILE, {"limits": dict(pricing.limits), "point": point.index, "trials": trials}
    known = files.read_json(path, "trials") if path.exists() else {}
    if known.get("asked") != asked:
        # Every exponent, the better one again, and the trials.
        total = len(_EXPONENTS) + 1 + trials
        with job.progress.stage(f"{TRIALS_STAGE}{suffix}", total=total, unit="network") as stage:
            known = {"asked": asked, **_Trials(job, pricing, point, stage).run(trials)}
        with files.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        files.write_json(path, known)
    return _scaled(point, known["factors"], known["exponent"])


class _Trials:
    """Tries networks; each one once."""

    def __init__(self, job: Job, pricing: Pricing, point: DrawPoint, stage: Stage) -> None:
        self._job, self._pricing, self._point, self._stage = job, pricing, point, stage
        self._device = Accelerator(Compute.of(job.config)).device
        self._losses: dict[tuple[tuple[str, int], ...], float] = {}
        self._limits, self._reconstruction = self._paid(), reconstruction_of(job, point)
        parts, size = job.config.accumulate, job.config.batch_size
        count = max(1, min(_BATCHES, _IMAGES // size))
        self._batches = list(islice(batches_of(job.task, range(count), parts)(), count * parts))

    def run(self, trials: int) -> dict[str, Any]:
        """What scores are raised to and multiplied by, how many networks were tried, and what they lost.

        Raises:
            HwticketsError: The loss of the network that is drawn by the scores as they are is not finite.
        """
        units, seed = list(self._point.scores), self._job.config.seed
        even = dict.fromkeys(units, 1.0)
        exponent = min(_EXPONENTS, key=partial(self._loss_at, even))
        factors = evolve(partial(self._loss_at, exponent=exponent), units, trials, seed)
        first, *others = self._losses.values()
        lowest = min([first, *filter(math.isfinite, others)])
        found = {"exponent": exponent, "factors": factors}
        return {**found, "networks": 1 + len(others), "first": first, "lowest": lowest}

    def _paid(self) -> Mapping[str, float]:
        """Limits of the metric that is paid in: a budget in another one takes many draws to meet."""
        pricing = self._pricing
        if pricing.price in pricing.limits:
            return pricing.limits
        drawn = drawer_of(self._job, pricing, self._point)(1.0, pricing.limits)
        return {pricing.price: drawn.costs[pricing.price]}

    def _loss_at(self, factors: Mapping[str, float], exponent: float) -> float:
        point = _scaled(self._point, factors, exponent)
        drawn = drawer_of(self._job, self._pricing, point)(1.0, self._limits)
        network = tuple(sorted(drawn.widths.items()))
        if network not in self._losses:
            self._losses[network] = self._loss_of(point, drawn)
        self._stage.advance(note=f"loss {min(self._losses.values()):.3f}")
        return self._losses[network]

    @torch.no_grad()
    def _loss_of(self, point: DrawPoint, drawn: Allocation) -> float:
        job, config = self._job, self._job.config
        network = cut(point, drawn, job.space, config.supernet, job.task, config.mask_pattern)
        model = network.model.to(self._device)
        if self._reconstruction:
            self._reconstruction.apply(network)
        with one_line("while networks are tried", self._device), statistics_of_batches(model):
            losses: list[Tensor] = [
                job.task.loss(model(x.to(self._device)), target.to(self._device))
                for x, target in self._batches
            ]
            loss = float(torch.stack(losses).mean())
            if not self._losses and not math.isfinite(loss):
                raise _not_finite(loss, where_not_finite(model, self._batches[0][0].to(self._device)))
        return loss


def _not_finite(loss: float, where: str) -> HwticketsError:
    advice = f"the network's outputs are not finite {where}" if where else "look at the loss and the targets"
    return HwticketsError(f"while networks are tried: the loss on training batches is {loss}; {advice}")


def _scaled(point: DrawPoint, factors: Mapping[str, float], exponent: float) -> DrawPoint:
    scores = {name: factors[name] * score**exponent for name, score in point.scores.items()}
    return replace(point, scores=scores)
