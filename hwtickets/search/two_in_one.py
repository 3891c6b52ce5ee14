"""Two-in-one training: architecture search and parameter pruning in one run, priced by a device.

Source: SuperTickets (ECCV 2022), Algorithm 1, with MAC weights replaced by prices, the 1e-3 threshold by an
exact draw at each shrink, and the hand-set strength by dual ascent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hwtickets.config import SearchConfig
from hwtickets.modules.gates import add_gates
from hwtickets.search.controller import BudgetController
from hwtickets.search.early import EarlyWeights
from hwtickets.search.masking import ProgressiveMasks, prune_events, pruner_of
from hwtickets.search.origins import Origins
from hwtickets.search.penalty import PricedPenalty
from hwtickets.search.points import DrawPoint
from hwtickets.search.schedules import ShrinkSchedule, even_shares
from hwtickets.search.scoring import SCORING_BATCHES, ScoreGatherer, batches_of
from hwtickets.search.shrinking import Pricing, ProgressiveShrink, ShrinkEvent
from hwtickets.space.slicing import present_widths, resize
from hwtickets.sparsity.criteria import build_importance
from hwtickets.sparsity.importance import Scores
from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.batchnorm import recalibrate_on
from hwtickets.training.checkpoint import Checkpointer, read_checkpoint, restore_loop
from hwtickets.training.compute import Compute
from hwtickets.training.ema import EMA
from hwtickets.training.failures import one_line
from hwtickets.training.layout import lay_channels_last
from hwtickets.training.loop import TrainingLoop, every_share
from hwtickets.training.optimizer import Optimizer, build_optimizer
from hwtickets.training.schedules import schedule_of


@dataclass(frozen=True)
class StepPlan:
    """How the steps of a run are shared out.

    Attributes:
        search: Steps of two-in-one training.
        total: Steps including the finetuning after the draw; the dense network is trained for as many.
    """

    search: int
    total: int

    @staticmethod
    def of(config: SearchConfig, task: Task) -> StepPlan:
        """The plan of a configuration on a task."""
        total = max(4, round(config.epochs * task.steps_per_epoch))
        return StepPlan(max(2, round(total * (1 - config.finetune_share))), total)

    def early(self, share: float) -> int:
        """Finished steps at a share of the search; 0 only for 0."""
        return max(1, round(share * self.search)) if share else 0


class TwoInOne:
    """One search on one supernet.

    Args:
        model: The supernet, untrained.
        task: The task.
        pricing: Space, costs and budgets.
        config: The run's configuration.
        plan: Steps.
        folder: State folder of the run: checkpoint and draw points.
        report: Called with every shrink.
    """

    def __init__(
        self,
        model: Supernet,
        task: Task,
        pricing: Pricing,
        config: SearchConfig,
        plan: StepPlan,
        folder: Path,
        report: Callable[[ShrinkEvent], None],
    ) -> None:
        self._pricing, self._folder, self._config = pricing, folder, config
        units = pricing.space.units
        add_gates(model, units.values())
        lay_channels_last(model)
        self.model = model
        self._ema = EMA(config.ema_decay)
        self._importance = build_importance(config.importance)
        self._scores = ScoreGatherer(units, self._importance)
        self._origins = Origins(units.values())
        pruning = prune_events(config, plan.search)
        self._masks = ProgressiveMasks(list(pruning.values()), config.reactivation, pruner_of(config))
        warmup = config.penalty_warmup_epochs
        ramp = config.shrink_from * plan.search if warmup is None else warmup * task.steps_per_epoch
        strength = _first_strength(config, plan) if pricing.limits else 0.0
        self._penalty = PricedPenalty(units, BudgetController(strength), max(1, round(ramp)))
        schedule = ShrinkSchedule(pricing.costs_of(pricing.space.dense()), pricing.limits, config.shrinks)
        self._shrink = ProgressiveShrink(
            pricing,
            schedule,
            self._scores,
            self._penalty,
            self._ema,
            self._masks,
            self._origins,
            self._keep_point,
            report,
            config.alive_above,
        )
        shares = even_shares(config.shrink_from, config.shrink_to, config.shrinks)
        triggers = {ProgressiveShrink.event: every_share(shares, plan.search)}
        if pruning:
            triggers[ProgressiveMasks.event] = pruning.__contains__
        early = EarlyWeights(folder, plan.early(config.rewind_to))
        hooks = [self._scores, self._penalty, self._shrink, self._masks, self._ema, self._origins, early]
        checkpointer = Checkpointer(folder / "search.safetensors", self._extra)
        self.loop = TrainingLoop(
            self.model,
            task,
            self._optimizer(),
            schedule_of(config, task.steps_per_epoch, 0, plan.total),
            [*hooks, checkpointer],
            plan.search,
            triggers=triggers,
            seed=config.seed,
            compute=Compute.of(config),
        )
        self._shrink.refresh_prices(pricing.space.dense())

    def resume(self) -> bool:
        """Goes on from the checkpoint, if there is one."""
        path = self._folder / "search.safetensors"
        if not path.exists():
            return False
        tensors, facts = read_checkpoint(path)
        widths: dict[str, int] = facts["extra"]["widths"]
        resize(self.model, self._pricing.space.units.values(), widths)
        self.loop.optimizer = self._optimizer()
        restore_loop(self.loop, tensors, facts)
        lay_channels_last(self.model)
        self._shrink.refresh_prices(widths)
        return True

    def run(self, advance: Callable[..., None]) -> None:
        """Trains to the end and keeps the last draw point, scored on the averaged weights."""
        self.loop.run(advance)
        self._ema.copy_to(self.model)
        apply_masks(self.model, self._masks.masks)
        recalibrate_on(self.model, self.loop.lessons, self._config.calibration_batches)
        with one_line("while channels are scored", self.loop.accelerator.device):
            scores, masks = self._last_scores(), self._masks.of_ticket(self.loop)
        weights = {name: tensor.detach() for name, tensor in self.model.state_dict().items()}
        self._save_point(self._config.shrinks + 1, self.loop.step, weights, masks, scores)

    def _last_scores(self) -> Scores:
        lessons, parts = self.loop.lessons, self.loop.accelerator.parts
        batches = batches_of(lessons, range(SCORING_BATCHES), parts)
        evidence = Evidence(self.model, batches, lessons.loss, self._config.seed)
        return self._importance.measure(evidence, self._pricing.space.units.values(), parts)

    def _optimizer(self) -> Optimizer:
        config = self._config
        return build_optimizer(self.model, config.weight_decay, config.optimizer, config.optimizer_eps)

    def _keep_point(self, loop: TrainingLoop, index: int, scores: Scores) -> None:
        self._save_point(index, loop.step, self._ema.shadow, self._masks.of_ticket(loop), scores)

    def _save_point(
        self, index: int, step: int, weights: dict[str, torch.Tensor], masks: Masks, scores: Scores
    ) -> None:
        widths = present_widths(self.model, self._pricing.space.units.values())
        costs = self._pricing.costs_of(widths)
        origins = self._origins.channels()
        DrawPoint(index, step, weights, masks, scores, widths, costs, origins).save(self._folder)

    def _extra(self) -> dict[str, Any]:
        return {"widths": present_widths(self.model, self._pricing.space.units.values())}


def _first_strength(config: SearchConfig, plan: StepPlan) -> float:
    """Where the penalty's strength starts; it follows the budget from there."""
    if config.penalty_strength is not None:
        return config.penalty_strength
    return 0.1 / (config.learning_rate * plan.search)
