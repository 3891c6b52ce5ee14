"""The ways from a supernet to a ticket that are compared at equal budgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hwtickets.errors import UsageError

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig


@dataclass(frozen=True)
class Pipeline:
    """What is searched, what is drawn, and when weights are masked.

    Attributes:
        searches: Whether a supernet is trained; otherwise the drawn network is, for as many steps as search
            and recipe have together.
        network: What is drawn: the most valuable network, one of uniform or random widths, or the whole
            supernet, which keeps no budget.
        masks: When weights are masked: while the supernet is trained, at once when a trained network was
            drawn, while one without weights of its own is trained, or never.
        needs_masks: Whether there is nothing to compare without `sparsity`.
        shuffles: Whether masks are shuffled within each layer after the draw.
        forgets: Whether nothing of what a search has learnt is kept but widths and shares of zeros.
        recipes: Recipes that it can end with.
    """

    searches: bool = True
    network: Literal["valued", "uniform", "random", "whole"] = "valued"
    masks: Literal["searching", "drawing", "training", "never"] = "searching"
    needs_masks: bool = False
    shuffles: bool = False
    forgets: bool = False
    recipes: tuple[str, ...] = ("distill", "finetune", "none", "rewind", "scratch")

    @property
    def anew(self) -> bool:
        """Whether the drawn network has nothing to go on from and is trained from scratch."""
        return self.forgets or (not self.searches and self.network != "valued")

    @property
    def budgeted(self) -> bool:
        """Whether it can keep a budget; masks make nothing faster or smaller on a dense runtime."""
        return self.network != "whole"

    def searched(self, config: SearchConfig) -> SearchConfig:
        """The configuration that its supernet is trained with."""
        updates: dict[str, object] = {"shrinks": 0} if self.network == "whole" else {}
        if self.masks != "searching":
            updates |= {"sparsity": 0.0, "prune_schedule": "one-shot"}
        return config.model_copy(update=updates)


_TRAINED = ("distill", "finetune", "scratch")
PIPELINES: dict[str, Pipeline] = {
    "two-in-one": Pipeline(),
    "search-then-prune": Pipeline(masks="drawing", needs_masks=True, recipes=("distill", "finetune", "none")),
    "post-training": Pipeline(searches=False, masks="drawing", recipes=("distill", "finetune", "none")),
    "prune-only": Pipeline(network="whole", needs_masks=True),
    "search-only": Pipeline(masks="never"),
    "uniform": Pipeline(searches=False, network="uniform", masks="training", recipes=_TRAINED),
    "random": Pipeline(searches=False, network="random", masks="training", recipes=_TRAINED),
    "random-ticket": Pipeline(shuffles=True, forgets=True, recipes=_TRAINED),
    "shuffled-mask": Pipeline(
        needs_masks=True, shuffles=True, recipes=("distill", "finetune", "rewind", "scratch")
    ),
}


def check_pipeline(config: SearchConfig) -> None:
    """Checks that budgets, sparsity and recipe go with the pipeline of a configuration.

    Raises:
        UsageError: They do not; says what to change.
    """
    name, pipeline = config.pipeline, PIPELINES[config.pipeline]
    if pipeline.budgeted and not config.budgets:
        raise UsageError("no budget is given; add one, e.g. --latency 8ms or --latency 40%")
    if config.budgets and not pipeline.budgeted:
        raise UsageError(
            f"pipeline {name} keeps all widths, and masks alone keep no budget on a dense runtime; leave the"
            " budget out, or choose another pipeline"
        )
    if name == "post-training" and config.checkpoint is None and config.supernet.name != "module":
        raise UsageError(
            "pipeline post-training starts from a trained network: give its weights with --checkpoint, or a"
            " module that brings them"
        )
    if config.sparsity and pipeline.masks == "never":
        raise UsageError(f"pipeline {name} masks nothing; leave sparsity {config.sparsity:g} out")
    if not config.sparsity and pipeline.needs_masks:
        raise UsageError(f"pipeline {name} is about masks; say what share they remove, e.g. --sparsity 0.8")
    if config.recipe not in pipeline.recipes:
        known = ", ".join(pipeline.recipes)
        raise UsageError(f"pipeline {name} cannot end with recipe {config.recipe}; choose one of {known}")
