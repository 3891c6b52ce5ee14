"""Draws that are tried out: units are valued anew until a network is drawn that does as the uncut one."""

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
from hwtickets.search.tickets import cut, uncut_network
from hwtickets.sparsity.allocation import Allocation
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.batchnorm import statistics_of_batches
from hwtickets.training.compute import Compute
from hwtickets.training.failures import one_line

#: Where a trained network is scored once.
_TRIALS = 100
#: What the trials are called where their progress is shown.
TRIALS_STAGE = "try"
_DOING = "while networks are tried"
#: Where their result is kept.
_FILE = "trials.json"
#: What scores are raised to at first.
_EXPONENTS = (1.0, 0.5)
#: Training batches that a network is tried on, the images that they hold together at most, and the bytes from
#: which on no more of the uncut network's outputs are kept.
_BATCHES, _IMAGES, _BYTES = 8, 512, 2**29


def trials_of(config: SearchConfig) -> int:
    """How often a search tries networks before one is drawn; 0 where precisions are drawn with the widths."""
    pipeline = PIPELINES[config.pipeline]
    if pipeline.network != "valued" or config.precision == MIXED:
        return 0
    return (0 if pipeline.searches else _TRIALS) if config.trials is None else config.trials


def tried_point(job: Job, pricing: Pricing, point: DrawPoint, folder: Path, suffix: str) -> DrawPoint:
    """A point whose scores draw the network that is nearest to the uncut one, among those that were tried.

    The scores of single channels do not tell what the network loses when many of them go at once. So networks
    are drawn within the budgets, the scores of every unit times a factor of its own, and cut as the one that
    is taken will be; how far their outputs are from those of the uncut network on a few training batches,
    with their own statistics in the batch norms, tells which factors are better. On so few images the task's
    own loss would tell more of their labels than of the networks. First it tells whether the roots of the
    scores are better: squares, as `TaylorImportance` gives them, value the best channels so much that a small
    network starves elsewhere. Within a unit the order of the channels stays. A pipeline that draws by no
    value, or that makes no trials, gets the point as it is.
    Source: candidates judged with adapted batch norms: EagleEye (ECCV 2020), section 3.3, there of random
    widths; by how well they imitate a teacher: DNA (Li et al., CVPR 2020), there block by block.

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
    return scaled(point, known["factors"], known["exponent"])


class _Trials:
    """Tries networks; each one once."""

    def __init__(self, job: Job, pricing: Pricing, point: DrawPoint, stage: Stage) -> None:
        self._job, self._pricing, self._point, self._stage = job, pricing, point, stage
        self._device = Accelerator(Compute.of(job.config)).device
        self._losses: dict[tuple[tuple[str, int], ...], float] = {}
        self._limits, self._reconstruction = self._paid(), reconstruction_of(job, point)
        with one_line(_DOING, self._device):
            self._examples = self._answered()

    def run(self, trials: int) -> dict[str, Any]:
        """What scores are raised to and multiplied by, how many networks were tried, how far off they were.

        Raises:
            HwticketsError: What the network gives that is drawn by the scores as they are is not finite.
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

    @torch.no_grad()
    def _answered(self) -> list[tuple[Tensor, Tensor]]:
        """Batches of training images, and what the uncut network gives for them."""
        job, config = self._job, self._job.config
        uncut = uncut_network(self._point, job.space, config.supernet, job.task).to(self._device).eval()
        count = max(1, min(_BATCHES, _IMAGES // config.batch_size))
        batches = batches_of(job.task, range(count), config.accumulate)()
        answered: list[tuple[Tensor, Tensor]] = []
        for x, _ in islice(batches, count * config.accumulate):
            answered.append((x, uncut(x.to(self._device))))
            if sum(outputs.nbytes for _, outputs in answered) >= _BYTES:
                break
        return answered

    def _loss_at(self, factors: Mapping[str, float], exponent: float) -> float:
        point = scaled(self._point, factors, exponent)
        drawn = drawer_of(self._job, self._pricing, point)(1.0, self._limits)
        network = tuple(sorted(drawn.widths.items()))
        if network not in self._losses:
            self._losses[network] = self._loss_of(point, drawn)
        self._stage.advance(note=f"off by {min(self._losses.values()):.3f}")
        return self._losses[network]

    @torch.no_grad()
    def _loss_of(self, point: DrawPoint, drawn: Allocation) -> float:
        job, config = self._job, self._job.config
        network = cut(point, drawn, job.space, config.supernet, job.task, config.mask_pattern)
        model = network.model.to(self._device)
        if self._reconstruction:
            self._reconstruction.apply(network)
        with one_line(_DOING, self._device), statistics_of_batches(model):
            losses: list[Tensor] = [
                job.task.imitation_loss(model(x.to(self._device)), outputs, config.distill_temperature)
                for x, outputs in self._examples
            ]
            loss = float(torch.stack(losses).mean())
            if not self._losses and not math.isfinite(loss):
                where = where_not_finite(model, self._examples[0][0].to(self._device))
                raise HwticketsError(
                    f"{_DOING}: outputs are not finite {where or 'on some batches'}; look at the weights and"
                    " the data"
                )
        return loss


def scaled(point: DrawPoint, factors: Mapping[str, float], exponent: float) -> DrawPoint:
    """A point whose scores are raised to an exponent, those of every unit times its factor."""
    scores = {name: factors[name] * score**exponent for name, score in point.scores.items()}
    return replace(point, scores=scores)
