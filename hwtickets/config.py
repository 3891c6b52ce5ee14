"""Configurations: what a search is asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hwtickets.budgets import parse_budget
from hwtickets.errors import UsageError
from hwtickets.sparsity.names import AUTO, PatternName

if TYPE_CHECKING:
    from hwtickets.tasks.settings import TaskSettings

PipelineName = Literal[
    "two-in-one",
    "search-then-prune",
    "prune-only",
    "search-only",
    "uniform",
    "random",
    "random-ticket",
    "shuffled-mask",
    "post-training",
]
Recipe = Literal["distill", "finetune", "none", "rewind", "scratch"]
ImportanceName = Literal[
    "taylor",
    "bn-scale",
    "magnitude-l1",
    "magnitude-l2",
    "magnitude-group",
    "snip",
    "grasp",
    "synflow",
    "random",
]
Pixels = Annotated[int, Field(ge=8)]
Resolution = Annotated[tuple[Pixels, Pixels], BeforeValidator(lambda given: _sides(given))]
Share = Annotated[float, Field(ge=0, le=1)]
#: How many times smaller the peak of the learning rate is on trained weights than on random ones.
GENTLER = 10


class _Config(BaseModel):
    # `latency: 8` is a number to YAML; as text it is a budget without a unit, which has its own message.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, coerce_numbers_to_str=True)


class SupernetConfig(_Config):
    """Which supernet is searched, and its sizes (keyword arguments that `supernets` checks)."""

    name: str = "mobile"
    sizes: dict[str, Any] = {}

    @property
    def title(self) -> str:
        """What a report calls it: a module by what builds it, one that a process holds by its class."""
        return re.sub(r"^live:(.*)-\w+$", r"\1", self.sizes.get("reference") or self.name)


class SearchConfig(_Config):
    """Everything a search depends on; the same keys as the options of `hwtickets search`.

    Attributes:
        task: What is learnt.
        data: The data set, as KIND or KIND:FOLDER.
        resolution: Height and width of the images in pixels, one number for a square, or "512x1024"; None for
            the data set's own.
        supernet: The network that is searched; "module" for one of the user's own, with the sizes `reference`
            (what builds it), `arguments` (of that), `keep` (names of modules that are left alone) and
            `frozen` (names of modules and parameters that do not learn).
        checkpoint: File of the weights that it starts from, already trained on the task: the network as it is
            then is the dense one and the teacher. None for what builds it.
        device: The device whose latency counts.
        precision: The precision of the deployed network; if not given, the device's own.
        max_drop: Where precisions are drawn ("mixed"), what they may cost of the score, in the metric's unit.
        pipeline: The way to the ticket: search and pruning at once (two-in-one), one after the other
            (search-then-prune), one alone (search-only, prune-only), none (post-training: a trained network
            is scored on a few batches, cut, and recovered by the recipe), or what they must beat: uniform or
            random widths trained from scratch, a random ticket of the same widths, and a shuffled mask.
        table: Folder of the latency table; None for the one that belongs to device and supernet.
        allow_other_fingerprint: Use a table also where the device is not as it was measured.
        budgets: Metric to limit, e.g. {"latency": "40%"}; all must hold. At least one, but for prune-only.
        price: What the penalty of training is priced by.
        epochs: Passes over the training data.
        batch_size: Images a step.
        learning_rate: Peak of the schedule; where training goes on from trained weights, a tenth by default.
        weight_decay: L2 penalty of the weights.
        label_smoothing: Share of the label spread over all classes.
        seed: Of everything random.
        sparsity: Share of the weights masked besides.
        mask_pattern: How masked weights lie: unstructured, n:m such as "2:4", block-ROWSxCOLUMNS, or channel,
            which is what the draw removes, without masks; auto for the one that the device can run faster.
        mask_importance: What a single weight's value is measured by.
        mask_scope: Whether one threshold holds for all layers, or each loses the same share.
        prune_schedule: How the sparsity rises: steps-of-X, cubic, one-shot, or the sparsities themselves.
        prune_from: Share of the search after which weights are pruned first.
        prune_to: Share of the search after which weights are pruned last.
        reactivation: When masked weights may come back: never (none), when the supernet is cut (at-shrink),
            or at once until the next pruning (after-prune).
        floor: Channels every block keeps in at least one branch; 0: a block may vanish.
        layer_floor: Share of its weights that masks leave in every layer.
        baseline: Whether the dense network is trained, for comparison and as a teacher.
        finetune_share: Share of `epochs` spent on the drawn ticket.
        finetune_rate: Peak learning rate of that, as a share of `learning_rate`; schedules other than cosine
            go on where the search has left them, times this.
        teacher: Folder of the ticket that teaches; None for this run's dense network.
        recipe: What is done with the drawn ticket: nothing (none); training on the data alone (finetune) or
            with a teacher beside it (distill); its training anew from the weights that its channels had early
            in the search (rewind) or from new random ones (scratch). None for distill where there is a
            teacher, else finetune.
        rewind_to: Share of the search after which the weights to rewind to are kept; 0: the untrained ones.
        distill_share: Of the teacher in the loss.
        distill_temperature: Softens the outputs of ticket and teacher.
        penalty_strength: Where the weight of the penalty on importance factors starts (the paper's rho); it
            follows the budget from cut to cut. None for one that fits rate and steps.
        penalty_warmup_epochs: Passes over which that weight rises from zero; None for those before the first
            cut.
        shrinks: How often the supernet is shrunk on the way to the budget.
        shrink_from: Share of the search after which the supernet is shrunk first.
        shrink_to: Share of the search after which it is shrunk last; the rest is there to settle.
        alive_above: Importance factors of at most this size count as made zero by the penalty.
        shrink_by: What chooses the channels of each shrink: the exact draw (knapsack), or one threshold of
            importance by price for all layers.
        unit_price: What the penalty sees of a branch: the price of a channel (slope), or besides it that of
            the branch for being there (slope-existence).
        alignment: Widths are multiples of this; None for what suits the device.
        ema_decay: Of the averaged weights, a step.
        importance: What a channel's value is measured by.
        trials: How often units are valued anew and a network is drawn, cut and tried on training batches,
            before the one is taken whose outputs are nearest to those of the uncut network. None for what
            suits the pipeline: 100 where a trained network is scored once, none where a supernet is trained.
        reconstruct: Whether the weights of a drawn network are fitted to give what the layers of the uncut
            one give. None for what suits the pipeline: yes where a trained network is scored once.
        compare: Other prices that are searched with, for comparison.
        calibration_batches: Training batches that the statistics of batch norms are taken from in the end.
        max_draws: Draws of the closed loop.
        tolerance: How far under the budget a ticket may stay, as a share.
        optimizer: What updates the weights; see `training.optimizer`.
        optimizer_eps: Added under the gradients' mean size; None for the optimizer's own.
        schedule: How the learning rate goes; see `training.schedules`.
        warmup_epochs: Passes over which the rate rises to its peak; None for the schedule's own.
        milestones: Passes after which the multi-step schedule divides the rate by ten.
        accelerator: What trains: auto takes a CUDA GPU where there is one.
        train_precision: Of the arithmetic of training; weights stay fp32. Not that of the deployed network.
        accumulate: In how many parts each batch is computed, for less memory.
        sync_batchnorm: Whether several processes share the batch norms' statistics while training.
        threads: CPU threads of training; None for torch's own choice.
        smallest_crop: Of image folders: share of a picture that training shows at least.
        decoding: Of keypoints: the highest cell of a heatmap, moved towards its higher neighbour (shifted),
            or the mean place around it (soft).
        flip_test: Of keypoints: whether the score averages the heatmaps of a crop and of its mirror image.
        sigma: Of keypoints: spread of a joint's hill in cells of the heatmap; None for the task's own.
    """

    task: str = "classification"
    data: str = "fashion-mnist-small"
    resolution: Resolution | None = None
    supernet: SupernetConfig = SupernetConfig()
    checkpoint: str | None = None
    device: str = "cpu"
    precision: str = "fp32"
    max_drop: float = Field(0.5, ge=0)
    pipeline: PipelineName = "two-in-one"
    table: str | None = None
    allow_other_fingerprint: bool = False
    budgets: dict[str, str] = {}
    price: Literal["latency", "macs"] = "latency"
    epochs: float = Field(8, gt=0)
    batch_size: int = Field(64, ge=2)
    learning_rate: float = Field(0.2, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**63)
    sparsity: float = Field(0.0, ge=0, lt=1)
    mask_pattern: PatternName = "unstructured"
    mask_importance: Literal["magnitude", "random", "snip", "grasp", "synflow"] = "magnitude"
    mask_scope: Literal["global", "layer"] = "global"
    prune_schedule: str | list[float] = "steps-of-0.1"
    prune_from: Share = 0.3
    prune_to: Share = 0.9
    reactivation: Literal["none", "at-shrink", "after-prune"] = "after-prune"
    floor: int = Field(0, ge=0)
    layer_floor: Share = 0.05
    baseline: bool = True
    finetune_share: Share = 0.7
    finetune_rate: float = Field(1.0, gt=0)
    teacher: str | None = None
    recipe: Recipe | None = Field(None, validate_default=True)
    rewind_to: float = Field(0.05, ge=0, lt=1)
    distill_share: Share = 0.5
    distill_temperature: float = Field(4.0, gt=0)
    penalty_strength: float | None = Field(None, ge=0)
    penalty_warmup_epochs: float | None = Field(None, ge=0)
    shrinks: int = Field(8, ge=0)
    shrink_from: Share = 0.2
    shrink_to: Share = 0.8
    alive_above: float = Field(0.0, ge=0)
    shrink_by: Literal["knapsack", "threshold"] = "knapsack"
    unit_price: Literal["slope", "slope-existence"] = "slope-existence"
    alignment: int | None = Field(None, ge=1)
    ema_decay: float = Field(0.98, ge=0, lt=1)
    importance: ImportanceName = "taylor"
    trials: int | None = Field(None, ge=0)
    reconstruct: bool | None = None
    compare: list[Literal["macs"]] = []
    calibration_batches: int = Field(10, ge=1)
    max_draws: int = Field(5, ge=1)
    tolerance: Share = 0.03
    optimizer: Literal["sgd", "rmsprop", "adam", "adamw"] = "sgd"
    optimizer_eps: float | None = Field(None, gt=0)
    schedule: Literal["cosine", "exponential", "one-cycle", "multi-step"] = "cosine"
    warmup_epochs: float | None = Field(None, ge=0)
    milestones: list[Annotated[float, Field(gt=0)]] = []
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    train_precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    accumulate: int = Field(1, ge=1)
    sync_batchnorm: bool = True
    threads: int | None = Field(None, ge=1)
    smallest_crop: float = Field(0.08, gt=0, le=1)
    decoding: Literal["shifted", "soft"] = "shifted"
    flip_test: bool = True
    sigma: float | None = Field(None, gt=0)

    @property
    def comes_trained(self) -> bool:
        """Whether the network has learnt the task before the search; what it is then is the dense one."""
        return self.checkpoint is not None or self.pipeline == "post-training"

    def task_settings(self) -> TaskSettings:
        """What the task is built from."""
        from hwtickets.tasks.settings import TaskSettings

        return TaskSettings(
            self.data,
            self.resolution,
            self.batch_size,
            self.label_smoothing,
            self.seed,
            self.smallest_crop,
            self.decoding,
            self.flip_test,
            self.sigma,
        )

    @field_validator("recipe")
    @classmethod
    def _taught(cls, recipe: Recipe | None, info: ValidationInfo) -> Recipe:
        taught = bool(info.data.get("baseline") or info.data.get("teacher"))
        if recipe == "distill" and not taught:
            raise ValueError("distill needs a teacher: train the dense network, or name a ticket")
        return recipe or ("distill" if taught else "finetune")

    @model_validator(mode="after")
    def _prunable(self) -> SearchConfig:
        from hwtickets.search.schedules import prune_sparsities
        from hwtickets.sparsity.patterns import build_granularity

        if self.mask_pattern != AUTO:
            build_granularity(self.mask_pattern).check(self.sparsity, self.layer_floor)
        prune_sparsities(self.prune_schedule, self.sparsity)
        if self.prune_from > self.prune_to:
            raise UsageError(f"prune_from {self.prune_from} lies after prune_to {self.prune_to}")
        return self

    @model_validator(mode="after")
    def _shrinkable(self) -> SearchConfig:
        if self.shrink_from > self.shrink_to:
            raise UsageError(f"shrink_from {self.shrink_from} lies after shrink_to {self.shrink_to}")
        if self.shrinks and self.rewind_to >= self.shrink_from:
            raise UsageError(
                f"rewind_to {self.rewind_to} lies after the first cut (shrink_from {self.shrink_from}); the"
                " weights to rewind to are those of the whole supernet"
            )
        return self

    @model_validator(mode="after")
    def _gentle(self) -> SearchConfig:
        # A rate that suits random weights would first undo what trained ones know.
        if self.comes_trained and "learning_rate" not in self.model_fields_set:
            self.learning_rate /= GENTLER
        return self

    @model_validator(mode="after")
    def _fitting(self) -> SearchConfig:
        from hwtickets.pipelines import check_pipeline

        check_pipeline(self)
        return self

    @field_validator("budgets")
    @classmethod
    def _readable(cls, budgets: dict[str, str]) -> dict[str, str]:
        for metric, text in budgets.items():
            parse_budget(metric, text)
        return budgets


#: Keys that run folders of earlier versions do not have, with what they stood for.
LATER_KEYS: dict[str, Any] = {
    key: SearchConfig.model_fields[key].default
    for key in (
        "penalty_strength",
        "penalty_warmup_epochs",
        "shrink_from",
        "shrink_to",
        "alive_above",
        "calibration_batches",
        "smallest_crop",
        "decoding",
        "flip_test",
        "sigma",
        "trials",
        "reconstruct",
    )
}


def _sides(given: Any) -> Any:
    """Height and width from one number or "512x1024"; whatever else is judged by the field's own type."""
    sides = given.lower().split("x") if isinstance(given, str) else given
    sides = [sides] if isinstance(sides, int) else sides
    return sides * 2 if isinstance(sides, list) and len(sides) == 1 else sides
