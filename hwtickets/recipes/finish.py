"""What follows a draw within a search: the recipe that its configuration and its pipeline ask for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwtickets.config import SearchConfig
from hwtickets.pipelines import PIPELINES
from hwtickets.recipes.lineage import Lineage
from hwtickets.recipes.pruning import masks_at_once, shuffled
from hwtickets.recipes.recipe import RECIPES
from hwtickets.recipes.work import Record, Work, teacher_of
from hwtickets.search.early import EARLY, INIT
from hwtickets.search.job import Job
from hwtickets.search.tickets import CutNetwork
from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.training.failures import SMALLER_BATCHES, one_line


@dataclass(frozen=True)
class Places:
    """Where a recipe finds and leaves things.

    Attributes:
        state: State folder of the search.
        dense: Ticket folder of the dense network, the teacher where no other is asked for.
        checkpoint: Where to save on the way; the recipe's name is put in front.
    """

    state: Path
    dense: Path
    checkpoint: Path


def finish(job: Job, network: CutNetwork, places: Places, steps: int | None, suffix: str) -> Record:
    """Applies the recipe of a job to a drawn network, in place.

    Args:
        job: The search.
        network: What was drawn; it is masked, or its masks are shuffled, first where the pipeline says so.
        places: Where to find and leave things.
        steps: Training steps that are asked for; None for the recipe's own. For none the network stays as it
            was drawn.
        suffix: Appended to the names of the stages.
    """
    config, plan, drawn = job.config, job.plan, network.drawn
    pipeline = PIPELINES[config.pipeline]
    masks = _masks(job, network)
    apply_masks(network.model, masks)
    searched = plan.search if pipeline.searches else 0
    lineage = Lineage(
        job.space, network.model.sizes, job.task.num_outputs, drawn.widths, network.channels, places.state
    )
    work = Work(
        model=network.model,
        masks=masks,
        task=job.task,
        config=config,
        lineage=lineage,
        full_steps=plan.total,
        short_steps=plan.total - searched,
        first_step=searched,
        trained_steps=searched,
        asked_steps=steps,
        rewind_to=EARLY if config.rewind_to else INIT,
        teacher=teacher_of(config, places.dense),
        prune_steps=plan.search if pipeline.masks == "training" and config.sparsity else 0,
        checkpoint=places.checkpoint,
        suffix=suffix,
        progress=job.progress,
    )
    return RECIPES["none" if steps == 0 else recipe_of(config)](work)


def _masks(job: Job, network: CutNetwork) -> Masks:
    config, pipeline = job.config, PIPELINES[job.config.pipeline]
    if pipeline.shuffles:
        return shuffled(network.model, network.masks, config.mask_pattern, config.seed)
    if pipeline.masks == "drawing" and config.sparsity:
        device = next(network.model.parameters()).device
        with one_line("while weights are scored", device, SMALLER_BATCHES):
            return masks_at_once(network.model, job.task, config)
    return network.masks


def recipe_of(config: SearchConfig) -> str:
    """The recipe that a search ends with; a network without weights of its own begins from scratch."""
    return "scratch" if PIPELINES[config.pipeline].anew else config.recipe or "finetune"
