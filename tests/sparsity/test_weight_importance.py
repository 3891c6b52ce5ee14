from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.sparsity.mask import maskable_weights
from hwtickets.sparsity.pruner import WEIGHT_IMPORTANCES, build_weight_importance
from hwtickets.sparsity.weight_importance import Evidence, checked
from hwtickets.supernets import Supernet
from hwtickets.tasks.task import Task


class _Chain(nn.Module):
    """f = w (a x1 + b x2) with a = 2, b = -1, w = 3: small enough for pencil and paper."""

    input_shape = (2, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(2, 1, 1), nn.BatchNorm2d(1), nn.Conv2d(1, 1, 1)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([2.0, -1.0]).view(1, 2, 1, 1))
            self.second.weight.fill_(3.0)
            self.first.bias.zero_(), self.second.bias.zero_()  # type: ignore[union-attr]
            self.norm.running_var.fill_(1 - self.norm.eps)  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.first(x)))


def _half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return 0.5 * (outputs.flatten() - targets).square().sum()


def _evidence(target: float = 2.0) -> Evidence:
    """With x = (1, 1): f = 3, and dL/df = 3 - target."""
    return Evidence(_Chain(), lambda: [(torch.ones(1, 2, 1, 1), torch.tensor([target]))], _half_square)


def _scores(name: str, evidence: Evidence) -> list[float]:
    scores = build_weight_importance(name).score(evidence)
    return [*scores["first.weight"].flatten().tolist(), *scores["second.weight"].flatten().tolist()]


def test_magnitude() -> None:
    assert _scores("magnitude", _evidence()) == [2.0, 1.0, 3.0]


def test_snip_is_weight_times_gradient() -> None:
    # dL/da = w x1 = 3, dL/db = w x2 = 3, dL/dw = a x1 + b x2 = 1.
    assert _scores("snip", _evidence()) == pytest.approx([2 * 3, 1 * 3, 3 * 1])


def test_snip_takes_the_gradient_of_all_batches_together() -> None:
    first, second = _evidence(2.0), _evidence(4.0)
    both = Evidence(first.model, lambda: [*first.batches(), *second.batches()], _half_square)
    assert _scores("snip", both) == pytest.approx([0, 0, 0]), "opposite gradients cancel"


def test_grasp_is_weight_times_hessian_times_gradient() -> None:
    # H = f' f'^T + (f - t) f'' with f' = (3, 3, 1) = g, f - t = 1 and f'' = 1 between w and both a and b:
    # Hg = 19 (3, 3, 1) + (1, 1, 6).
    assert _scores("grasp", _evidence()) == pytest.approx([2 * 58, -1 * 58, 3 * 25])


def test_synflow_ignores_signs_offsets_and_data() -> None:
    evidence = _evidence()
    with torch.no_grad():
        evidence.model.norm.weight.fill_(-0.5)
        evidence.model.norm.running_mean.fill_(7.0)
        for layer in (evidence.model.first, evidence.model.second, evidence.model.norm):
            layer.bias.fill_(-9.0)

    def none() -> list[tuple[Tensor, Tensor]]:
        raise AssertionError("it asked for data")

    scores = _scores("synflow", Evidence(evidence.model, none, _half_square))
    # R = 3 * 0.5 * (2 + 1); a layer's scores sum to it.
    assert scores == pytest.approx([2 * 1.5, 1 * 1.5, 4.5], rel=1e-5)


def test_synflow_is_conserved_from_layer_to_layer(tiny_model: Callable[..., Supernet]) -> None:
    model = tiny_model(shaken=True)
    scores = build_weight_importance("synflow").score(Evidence(model, list, _half_square))
    stem, head = (float(scores[name].sum()) for name in ("stem.0.weight", "head.0.weight"))
    assert stem == pytest.approx(head) and stem > 0


def test_random_scores_follow_their_seed_alone() -> None:
    draws = []
    for seed, other in ((3, 0), (3, 1), (4, 0)):
        torch.manual_seed(other)
        draws.append(_scores("random", Evidence(_Chain(), list, _half_square, seed)))
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("name", sorted(WEIGHT_IMPORTANCES))
def test_scoring_leaves_no_trace(name: str, tiny_model: Callable[..., Supernet], tiny_task: Task) -> None:
    model = tiny_model().train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    batches = [tiny_task.train_batch(step) for step in range(2)]
    scores = build_weight_importance(name).score(Evidence(model, lambda: batches, tiny_task.loss))
    assert {key: score.shape for key, score in scores.items()} == {
        key: weight.shape for key, weight in maskable_weights(model).items()
    }
    assert all(float(score.abs().sum()) > 0 for score in scores.values())
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_a_block_without_branches_has_scores_too(
    tiny_model: Callable[..., Supernet], tiny_task: Task
) -> None:
    """Weights that no longer take part count for nothing; they must not end the run."""
    model = tiny_model()
    model.unused = nn.Conv2d(1, 1, 1)
    evidence = Evidence(model, lambda: [tiny_task.train_batch(0)], tiny_task.loss)
    for name in ("snip", "grasp", "synflow"):
        assert float(build_weight_importance(name).score(evidence)["unused.weight"].abs().sum()) == 0


def test_scores_that_ran_away_are_named() -> None:
    importance = build_weight_importance("snip")
    with pytest.raises(HwticketsError, match=r"mask importance snip: the scores of a\.weight are not finite"):
        checked({"a.weight": torch.tensor([1.0, torch.nan])}, importance)


def test_an_operator_without_a_second_derivative_is_named() -> None:
    network = nn.Sequential(nn.Conv2d(2, 1, 1), nn.Hardsigmoid())
    evidence = Evidence(network, lambda: [(torch.ones(1, 2, 1, 1), torch.tensor([2.0]))], _half_square)
    with pytest.raises(HwticketsError, match="grasp needs second derivatives, and PyTorch has none of hards"):
        build_weight_importance("grasp").score(evidence)
    assert build_weight_importance("snip").score(evidence)["0.weight"].isfinite().all()
