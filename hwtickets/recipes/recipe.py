"""The recipes: what is done with a drawn network. Each is a function of the same work, with a record."""

from __future__ import annotations

from collections.abc import Callable

from hwtickets.errors import UsageError
from hwtickets.recipes.work import Record, Work
from hwtickets.training.schedules import finetuning_begins

Recipe = Callable[[Work], Record]

#: Added to the seed for weights that the search has not begun with.
_OTHER_SEED = 1_000_003


def none(work: Work) -> Record:
    """The network stays as it was drawn, batch norms recalibrated."""
    before = work.score()
    work.train("none", 0.0, 0, 0, 0)
    return work.record("none", 0, before)


def finetune(work: Work) -> Record:
    """Training goes on from the weights of the draw."""
    return _go_on(work, "finetune")


def distill(work: Work) -> Record:
    """Finetuning with a teacher beside the data: the KD ticket.

    Raises:
        UsageError: There is no teacher.
    """
    if work.teacher is None:
        raise UsageError("recipe distill needs a teacher; name a ticket with --teacher")
    return _go_on(work, "distill")


def rewind(work: Work) -> Record:
    """The weights go back to what they were early in the search, and training is repeated from there.

    Source: Frankle and Carbin, The Lottery Ticket Hypothesis (2019), section 2 (back to the beginning);
    Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis (2020), section 3 (back to step
    k: batches and learning rate go on from k).
    """
    before = work.score()
    weights, step = work.lineage.rewound(work.rewind_to)
    work.start_from(weights)
    steps = work.full_steps - step if work.asked_steps is None else work.asked_steps
    work.train("rewind", 1.0, step, steps, warm_from=0)
    return work.record("rewind", steps, before, step)


def scratch(work: Work) -> Record:
    """The same architecture and masks with new random weights, trained from the first step to the last.

    Source: Liu et al., Rethinking the Value of Network Pruning (2019), section 3.
    """
    before = work.score()
    work.start_from(work.lineage.fresh((work.config.seed + _OTHER_SEED) % 2**63))
    steps = work.full_steps if work.asked_steps is None else work.asked_steps
    work.train("scratch", 1.0, 0, steps, warm_from=0)
    return work.record("scratch", steps, before)


RECIPES: dict[str, Recipe] = {
    recipe.__name__: recipe for recipe in (none, finetune, rewind, scratch, distill)
}
#: The training stage of each recipe that has one.
STAGE_NAMES = {"finetune": "finetune", "distill": "finetune", "rewind": "rewind", "scratch": "scratch"}


def _go_on(work: Work, recipe: str) -> Record:
    before = work.score()
    steps = work.short_steps if work.asked_steps is None else work.asked_steps
    begins = finetuning_begins(work.config.schedule, work.first_step, work.trained_steps)
    work.train(STAGE_NAMES[recipe], work.config.finetune_rate, work.first_step, steps, begins)
    return work.record(recipe, steps, before)
