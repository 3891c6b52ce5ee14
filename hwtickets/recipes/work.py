"""What a recipe works on, and what it leaves on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwtickets.config import SearchConfig
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.recipes.lineage import Lineage, Weights
from hwtickets.recipes.pruning import GrowingMasks, masks_at_once
from hwtickets.sparsity.mask import Masks, apply_masks
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Lessons, Task
from hwtickets.training.batchnorm import recalibrate_on
from hwtickets.training.failures import SMALLER_BATCHES, one_line
from hwtickets.training.loop import Hook, Trigger
from hwtickets.training.plain import PlainTraining, train_plain
from hwtickets.training.schedules import schedule_of
from hwtickets.training.teacher import TaughtLessons


@dataclass(frozen=True)
class Record:
    """What was done with a drawn network; part of its provenance.

    Attributes:
        recipe: Name of the recipe.
        steps: Training steps.
        teacher: Hash of the ticket that taught; None without one.
        rewound_step: Step of the search whose weights it started from; None if it was not rewound.
        score_before: Validation score as it was drawn.
        score_after: Validation score in the end.
    """

    recipe: str
    steps: int
    teacher: str | None
    rewound_step: int | None
    score_before: float
    score_after: float

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return asdict(self)


@dataclass
class Work:
    """A drawn network, and everything that a recipe may need.

    Attributes:
        model: The network; recipes change it in place.
        masks: Weights that stay zero; recipes that prune add to them.
        task: The task.
        config: Rates, decay, distillation.
        lineage: Gives the weights of other starts.
        full_steps: Steps of a whole training.
        short_steps: Steps of a finetuning.
        first_step: Number of the first step of a finetuning: its batches go on from there.
        trained_steps: Steps behind the network: schedules of the learning rate may go on from there.
        asked_steps: Steps that were asked for instead of either; None for the recipe's own.
        rewind_to: `early.INIT` or `early.EARLY`.
        teacher: Folder of the ticket that teaches; None for the data alone.
        prune_steps: First steps of a training within which masks grow as they do within a search, so that
            what is left has as long to recover; 0: there is nothing to grow.
        checkpoint: Where to save on the way; the stage's name is put in front of the file's.
        suffix: Appended to the names of the stages.
        progress: Where to report.
    """

    model: Supernet
    masks: Masks
    task: Task
    config: SearchConfig
    lineage: Lineage
    full_steps: int
    short_steps: int
    first_step: int
    trained_steps: int
    asked_steps: int | None
    rewind_to: str
    teacher: Path | None
    prune_steps: int
    checkpoint: Path
    suffix: str
    progress: Progress

    def start_from(self, weights: Weights) -> None:
        """Replaces the weights; what is masked stays zero."""
        self.model.load_state_dict(weights)
        apply_masks(self.model, self.masks)

    def train(self, stage: str, share: float, first: int, steps: int, warm_from: int) -> None:
        """Trains the network, or, for no steps, only prunes and recalibrates it.

        Args:
            stage: Name of the stage.
            share: Peak of the learning rate, as a share of the configured one.
            first: Number of the first step.
            steps: How many.
            warm_from: Step at which the schedule of the learning rate begins.
        """
        if steps == 0:
            self._leave_untrained()
            return
        config, hooks, triggers = self.config, list[Hook](), dict[str, Trigger]()
        if self.prune_steps:
            growing = GrowingMasks(config, first, min(steps, self.prune_steps))
            self.masks, hooks, triggers = growing.masks, growing.hooks, growing.triggers
        rate = schedule_of(config, self.task.steps_per_epoch, warm_from, first + steps, share)
        training = PlainTraining.of(config, rate, first, first + steps)
        checkpoint = self.checkpoint.with_name(f"{stage}-{self.checkpoint.name}.safetensors")
        with self.progress.stage(f"{stage}{self.suffix}", total=steps, unit="step") as shown:
            train_plain(
                self.model, self.lessons(), training, self.masks, checkpoint, shown.advance, hooks, triggers
            )

    def lessons(self) -> Lessons:
        """The task, with the teacher beside it if there is one.

        Raises:
            UsageError: The teacher learnt something else.
            HwticketsError: It is missing or damaged.
        """
        if self.teacher is None:
            return self.task
        ticket, task = Ticket.load(self.teacher), self.task
        known = ticket.architecture
        if (known.input_shape, known.classes) != (task.input_shape, task.num_outputs):
            raise UsageError(
                f"teacher {self.teacher}: it takes {_shape(known.input_shape)} and gives {known.classes}"
                f" outputs, the ticket {_shape(task.input_shape)} and {task.num_outputs}; choose one of the"
                " same task"
            )
        return TaughtLessons(
            task, ticket.module(), self.config.distill_share, self.config.distill_temperature
        )

    def record(self, recipe: str, steps: int, before: float, rewound_step: int | None = None) -> Record:
        """What was done, with the score in the end."""
        teacher = ticket_hash(self.teacher) if self.teacher and steps else None
        return Record(recipe, steps, teacher, rewound_step, before, self.score())

    def score(self) -> float:
        """Validation score as the network is now."""
        device = next(self.model.parameters()).device
        with one_line("while the validation data is scored", device, "free some of it, or lower resolution"):
            return self.task.score(self.model, "validation")

    def _leave_untrained(self) -> None:
        if self.prune_steps:
            device = next(self.model.parameters()).device
            with one_line("while weights are scored", device, SMALLER_BATCHES):
                self.masks = masks_at_once(self.model, self.task, self.config)
        apply_masks(self.model, self.masks)
        recalibrate_on(self.model, self.task, self.config.calibration_batches)
        self.model.eval()


def teacher_of(config: SearchConfig, dense: Path) -> Path | None:
    """The ticket that teaches in a search: the configured one; for `distill` else the dense network."""
    if config.teacher and config.recipe not in ("none", "finetune"):
        return Path(config.teacher)
    return dense if config.recipe == "distill" else None


def _shape(input_shape: Sequence[int]) -> str:
    return "x".join(map(str, input_shape))
