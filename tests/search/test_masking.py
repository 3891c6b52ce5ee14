from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from hwtickets.config import SearchConfig
from hwtickets.config_files import load_config
from hwtickets.errors import UsageError
from hwtickets.search.masking import ProgressiveMasks, prune_events
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.mask import sparsity_of
from hwtickets.sparsity.pruner import Pruner
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task
from hwtickets.training.loop import Hook, TrainingLoop
from hwtickets.training.optimizer import build_optimizer
from hwtickets.training.schedules import Cosine

EVENTS = (2, 4)
#: A weight whose first filter may lose everything.
FADING = "blocks.1.branches.k3.project.weight"


class _Sparsity(Hook):
    """The share of zeros after every step, and right after every event; whether one filter is all zeros."""

    def __init__(self) -> None:
        self.faded: dict[int, bool] = {}
        self.after: dict[int, float] = {}
        self.at_event: dict[int, float] = {}

    def after_step(self, loop: TrainingLoop) -> None:
        self.after[loop.step + 1] = sparsity_of(loop.model)
        self.faded[loop.step + 1] = not loop.model.get_parameter(FADING)[0].any()

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        self.at_event[loop.step] = sparsity_of(loop.model)


class _Cut(Hook):
    """A shrink that removes nothing: what the masks are told of it is all that happens."""

    def __init__(self, masks: ProgressiveMasks) -> None:
        self._masks = masks

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        if event == "shrink":
            self._masks.after_cut(loop.model)


class _Fading(Hook):
    """One filter's weights are the least of all when weights are pruned first."""

    def on_trigger(self, loop: TrainingLoop, event: str) -> None:
        if event == "prune" and loop.step == min(EVENTS):
            loop.model.get_parameter(FADING).data[0] = 0.0


Train = Callable[..., tuple[TrainingLoop, ProgressiveMasks, _Sparsity]]


@pytest.fixture
def train(tiny_model: Callable[..., Supernet], tiny_task: Task) -> Train:
    def run(
        reactivation: str,
        steps: int,
        pattern: str = "unstructured",
        importance: str = "magnitude",
        others: Sequence[Hook] = (),
    ) -> tuple[TrainingLoop, ProgressiveMasks, _Sparsity]:
        model, seen = tiny_model(), _Sparsity()
        pruner = Pruner.of(pattern, importance, "global", 0.0)
        own = pruner.granularity.share
        masks = ProgressiveMasks([own or 0.3, own or 0.6], reactivation, pruner)
        loop = TrainingLoop(
            model,
            tiny_task,
            build_optimizer(model, 5e-4),
            Cosine(0.1, 10),
            [_Cut(masks), *others, masks, seen],
            steps,
            triggers={"prune": lambda step: step in EVENTS, "shrink": lambda step: step == 3},
        )
        loop.run()
        return loop, masks, seen

    return run


def test_sparsity_rises_event_by_event_and_stays(
    train: Train,
) -> None:
    _, masks, seen = train("none", 6)
    assert seen.at_event[2] == pytest.approx(0.3, abs=0.01)
    assert seen.at_event[4] == pytest.approx(0.6, abs=0.01)
    assert seen.after[1] == seen.after[2] == 0.0
    assert seen.after[3] == seen.after[4] == seen.at_event[2], "no weight comes back without reactivation"
    assert seen.after[5] == seen.after[6] == seen.at_event[4]
    assert set(masks.tensors()) and masks.facts() == {"done": 2}


def test_reactivated_weights_begin_again_from_zero_until_the_last_event(
    train: Train,
) -> None:
    _, masks, seen = train("after-prune", 3)
    assert seen.at_event[2] == pytest.approx(0.3, abs=0.01), "they were set to zero"
    assert seen.after[3] < 0.05, "and are free in the next step"
    _, masks, seen = train("after-prune", 6)
    assert seen.at_event[4] == seen.after[5] == seen.after[6] == pytest.approx(0.6, abs=0.01)
    assert masks.masks, "after the last event they stay"


def test_weights_reactivated_at_a_shrink_are_masked_until_it(train: Train) -> None:
    _, masks, seen = train("at-shrink", 6)
    assert seen.at_event[2] == pytest.approx(0.3, abs=0.01)
    assert seen.after[3] == seen.at_event[3] == seen.at_event[2], (
        "set to zero, free after the shrink at step 3"
    )
    assert seen.after[4] < 0.05
    assert seen.after[5] == seen.after[6] == seen.at_event[4] == pytest.approx(0.6, abs=0.01)
    masks.after_cut(train("none", 1)[0].model)
    assert masks.masks, "after the last event no shrink opens them"


@pytest.mark.parametrize("reactivation", ["at-shrink", "after-prune"])
def test_a_filter_that_lost_all_its_weights_gets_none_back(train: Train, reactivation: str) -> None:
    _, _, seen = train(reactivation, 6, others=[_Fading()])
    assert [step for step, faded in seen.faded.items() if faded] == [3, 4, 5, 6]
    assert seen.after[4] < 0.05, "the others are whole again before step 4 is over"
    assert seen.after[6] == pytest.approx(0.6, abs=0.01)


def test_masks_without_reactivation_lie_within_one_another(train: Train) -> None:
    for importance in ("magnitude", "grasp", "random"):
        first = train("none", 3, importance=importance)[1].masks
        second = train("none", 5, importance=importance)[1].masks
        assert all(not (second[name] & ~mask).any() for name, mask in first.items()), importance


def test_the_importance_decides(train: Train) -> None:
    chosen = {name: train("none", 3, importance=name)[1].masks for name in ("magnitude", "snip", "random")}
    heads = [masks["head.0.weight"].flatten().tolist() for masks in chosen.values()]
    assert heads[0] != heads[1] != heads[2] != heads[0]


@pytest.mark.parametrize("reactivation", ["none", "after-prune"])
def test_a_pattern_holds_through_training_and_cuts(
    train: Train, tiny_space: SearchSpace, reactivation: str
) -> None:
    loop, hook, _ = train(reactivation, 5, "2:4")
    torch.manual_seed(0)
    kept = {name: torch.randperm(16)[:12].sort().values for name in tiny_space.units}
    keep_channels(loop.model, tiny_space.units.values(), kept, loop.optimizer, [hook.masks])
    project = "blocks.1.branches.k3.project.weight"
    torn = loop.model.get_parameter(project).detach()
    assert bool((_non_zeros(torn) > 2).any()), "the cut tore groups apart"
    hook.after_cut(loop.model)
    assert bool((_non_zeros(torn) <= 2).all()), "and the hook mends them"
    loop.steps = 6
    loop.run()
    for name in hook.masks:
        assert bool((_non_zeros(loop.model.get_parameter(name)) <= 2).all()), name


def _non_zeros(weight: torch.Tensor) -> torch.Tensor:
    return (weight != 0).unflatten(1, (-1, 4)).sum(2)


def test_a_shrink_cuts_masks_along_and_never_resets_them(train: Train, tiny_space: SearchSpace) -> None:
    loop, hook, _ = train("none", 5)
    before = {name: mask.clone() for name, mask in hook.masks.items()}
    kept = {name: torch.arange(8) for name in tiny_space.units} | {"blocks.1.k5": torch.arange(0)}
    keep_channels(loop.model, tiny_space.units.values(), kept, loop.optimizer, [hook.masks])
    loop.steps = 6
    loop.run()
    assert torch.equal(hook.masks["head.0.weight"], before["head.0.weight"])
    cut = hook.masks["blocks.1.branches.k3.project.weight"]
    assert torch.equal(cut, before["blocks.1.branches.k3.project.weight"][:, :8])
    assert not [name for name in hook.masks if "blocks.1.branches.k5." in name]
    for name, mask in hook.masks.items():
        assert not loop.model.get_parameter(name)[~mask].any(), name


def test_masks_come_back_from_a_checkpoint(
    train: Train,
) -> None:
    _, hook, _ = train("none", 3)
    again = ProgressiveMasks([0.3, 0.6], "none", Pruner.of("unstructured", "magnitude", "global", 0.05))
    again.restore({name: mask.to(torch.uint8) for name, mask in hook.tensors().items()}, hook.facts())
    assert again.facts() == {"done": 1}
    assert all(torch.equal(mask, again.masks[name]) for name, mask in hook.masks.items())
    assert all(mask.dtype == torch.bool for mask in again.masks.values())


def _config(**settings: object) -> SearchConfig:
    return SearchConfig.model_validate({"budgets": {"latency": "50%"}, **settings})


def test_events_are_spread_over_the_search() -> None:
    config = _config(sparsity=0.4)
    assert prune_events(config, 100) == pytest.approx({30: 0.1, 50: 0.2, 70: 0.3, 90: 0.4})
    config = _config(sparsity=0.2, prune_from=0.1, prune_to=0.6)
    assert prune_events(config, 100) == pytest.approx({10: 0.1, 60: 0.2})
    assert prune_events(_config(), 100) == {}


def test_a_short_run_reaches_the_sparsity_all_the_same() -> None:
    events = prune_events(_config(sparsity=0.9), 4)
    assert len(events) < 9 and list(events.values())[-1] == pytest.approx(0.9)


def test_a_pattern_with_a_share_has_it_at_every_event() -> None:
    events = prune_events(_config(sparsity=0.5, mask_pattern="2:4"), 100)
    assert list(events.values()) == [0.5] * 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_pattern": "2:4", "sparsity": 0.9}, "set sparsity to 0.5"),
        ({"mask_pattern": "2:4"}, "set sparsity to 0.5"),
        ({"mask_pattern": "channel", "sparsity": 0.5}, "removed by the draw"),
        ({"mask_pattern": "blocks", "sparsity": 0.5}, "unknown mask pattern 'blocks'"),
        ({"sparsity": 0.5, "prune_schedule": "cubik"}, "did you mean 'cubic'"),
        ({"sparsity": 0.5, "prune_schedule": [0.2, 0.4]}, "does not end at sparsity 0.5"),
        ({"prune_from": 0.9, "prune_to": 0.3}, "lies after"),
    ],
)
def test_settings_that_do_not_go_together_are_one_line(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as failure:
        load_config(None, {"budgets": {"latency": "50%"}, **settings})
    assert "\n" not in str(failure.value)


def test_a_ratio_needs_no_quotes(tmp_path: Path) -> None:
    """To YAML 1.1, 2:4 is the number 124."""
    path = tmp_path / "a.yaml"
    path.write_text("latency: 50%\nsparsity: 0.5\nmask_pattern: 2:4\n")
    assert load_config(path, {}).mask_pattern == "2:4"
