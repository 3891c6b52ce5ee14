"""Importance of single weights: what a mask is chosen by."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.sparsity.mask import maskable_weights
from hwtickets.tasks.evaluation import evaluating

WeightScores = dict[str, Tensor]

#: What PyTorch says of an operator that it differentiates once, e.g. "aten::hardsigmoid_backward".
_NOT_DIFFERENTIABLE = re.compile(r"derivative for aten::(\w+?)(?:_backward)? is not implemented")


@dataclass(frozen=True)
class Evidence:
    """What weights are scored on.

    Attributes:
        model: The network; its attribute `input_shape` is the (C, H, W) of one input.
        batches: Gives inputs and targets on any device, the same ones at every call; all count alike.
        loss: `loss(outputs, targets) -> scalar tensor`.
        seed: Of what is random.
        weights: Those of a network that are scored, by state-dict name; its maskable ones if not given.
    """

    model: nn.Module
    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]
    loss: Callable[[Tensor, Tensor], Tensor]
    seed: int = 0
    weights: Callable[[nn.Module], dict[str, Tensor]] = maskable_weights

    def scored(self) -> dict[str, Tensor]:
        """The weights that are scored, of the network itself."""
        return self.weights(self.model)


class WeightImportance(ABC):
    """Scores single weights of a network, all that are maskable or those asked for; higher is better.

    Attributes:
        name: What the configuration calls it.
        rounds: Rounds of scoring and removing until a sparsity is reached.
    """

    name: str
    rounds: int = 1

    @abstractmethod
    def score(self, evidence: Evidence) -> WeightScores:
        """Scores of the shape of the weights, by state-dict name; the network stays as it is."""


class Magnitude(WeightImportance):
    """`|w|`: what SuperTickets masks by. Source: Han et al., Learning both Weights and Connections (2015)."""

    name = "magnitude"

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores; see `WeightImportance.score`."""
        return {name: weight.detach().abs() for name, weight in evidence.scored().items()}


class RandomScores(WeightImportance):
    """Uniform random numbers: what a criterion must beat."""

    name = "random"

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores; see `WeightImportance.score`."""
        generator = torch.Generator().manual_seed(evidence.seed % 2**63)
        weights = evidence.scored()
        return {
            name: torch.rand(weight.shape, generator=generator).to(weight.device)
            for name, weight in weights.items()
        }


class Snip(WeightImportance):
    """`|w * dL/dw|`: how much the loss would change without the weight.

    Source: Lee et al., SNIP (ICLR 2019), equation 5; there divided by the sum over all weights, which
    changes no order.
    """

    name = "snip"

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores; see `WeightImportance.score`."""
        gradients = loss_gradients(evidence)
        weights = evidence.scored()
        return {name: (weight.detach() * gradients[name]).abs() for name, weight in weights.items()}


class Grasp(WeightImportance):
    """`w * Hg`: how much gradient flow would be lost without the weight.

    Source: Wang et al., Picking Winning Tickets Before Training by Preserving Gradient Flow (ICLR 2020),
    equation 8, `S(-w) = -w * Hg`, H the Hessian and g the gradient of the loss. The paper removes the weights
    with the largest S; so its negative is the importance.
    """

    name = "grasp"

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores; see `WeightImportance.score`."""
        products = _hessian_products(evidence, loss_gradients(evidence))
        weights = evidence.scored()
        return {name: weight.detach() * products[name] for name, weight in weights.items()}


def loss_gradients(evidence: Evidence) -> WeightScores:
    """Gradients of the mean loss by weight; the network's own gradients stay as they are."""
    return _mean_over_batches(evidence, gradients_of)


def gradients_of(output: Tensor, weights: list[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
    """Gradients of a scalar; zeros for weights without influence (a block that lost all its branches)."""
    return torch.autograd.grad(
        output, weights, create_graph=create_graph, allow_unused=True, materialize_grads=True
    )


@contextmanager
def differentiable(weights: Iterable[Tensor]) -> Iterator[None]:
    """Within it all of some weights have gradients; what is frozen tells what it is worth, too."""
    frozen = [weight for weight in weights if not weight.requires_grad]
    for weight in frozen:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight in frozen:
            weight.requires_grad_(False)


def checked(scores: WeightScores, importance: WeightImportance) -> WeightScores:
    """The scores, if all of them are numbers.

    Raises:
        HwticketsError: One is not: weights or gradients ran away.
    """
    for name, score in scores.items():
        if not bool(score.isfinite().all()):
            raise HwticketsError(
                f"mask importance {importance.name}: the scores of {name} are not finite;"
                " use magnitude, or lower learning_rate"
            )
    return scores


def _hessian_products(evidence: Evidence, gradients: WeightScores) -> WeightScores:
    directions = list(gradients.values())

    def product(loss: Tensor, weights: list[Tensor]) -> tuple[Tensor, ...]:
        first = gradients_of(loss, weights, create_graph=True)
        flow = sum((a * b).sum() for a, b in zip(first, directions, strict=True))
        assert isinstance(flow, Tensor)
        return gradients_of(flow, weights)

    try:
        return _with_second_derivatives(evidence, product)
    except RuntimeError as error:
        missing = _NOT_DIFFERENTIABLE.search(str(error))
        if missing is None:
            raise
        raise UsageError(
            f"grasp needs second derivatives, and PyTorch has none of {missing[1]}; choose another criterion,"
            " e.g. snip or magnitude for masks, taylor or bn-scale for channels"
        ) from error


def _with_second_derivatives(
    evidence: Evidence, product: Callable[[Tensor, list[Tensor]], tuple[Tensor, ...]]
) -> WeightScores:
    # The fused kernels of attention have no second derivative.
    with sdpa_kernel(SDPBackend.MATH):
        return _mean_over_batches(evidence, product)


def _mean_over_batches(
    evidence: Evidence, gradient: Callable[[Tensor, list[Tensor]], tuple[Tensor, ...]]
) -> WeightScores:
    named = evidence.scored()
    weights = list(named.values())
    device = weights[0].device
    totals = [torch.zeros_like(weight) for weight in weights]
    count = 0
    with evaluating(evidence.model), torch.enable_grad(), differentiable(weights):
        for x, target in evidence.batches():
            gradients = gradient(evidence.loss(evidence.model(x.to(device)), target.to(device)), weights)
            totals = [total + part.detach() for total, part in zip(totals, gradients, strict=True)]
            count += 1
    return {name: total / count for name, total in zip(named, totals, strict=True)}
