"""Importance of channels: one number each, comparable between the layers of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError
from hwtickets.space.units import Unit
from hwtickets.sparsity.channel_weights import Entries, Places, by_channel
from hwtickets.sparsity.weight_importance import Evidence
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.evaluation import evaluating

Scores = dict[str, Tensor]


class Importance(ABC):
    """Scores the channels of every unit; higher is better.

    Attributes:
        name: What the configuration calls it.
    """

    name: ClassVar[str]

    @abstractmethod
    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Scores of a network as it is now; it is not changed.

        Args:
            evidence: The network, a supernet, and data to score it on.
            units: Units of its search space.
            parts: So many batches in a row are equal parts of one, computed one after the other.

        Returns:
            Tensors of shape (present channels,) by unit name, on the CPU; units that are gone have none.
        """


class FactorImportance(Importance):
    """Scores a unit by its importance factors: scales of batch norms, or inserted gates.

    Cheap enough to be gathered at every step of a training, from the gradients that are there anyway.
    """

    @abstractmethod
    def of_factor(self, factor: nn.Module) -> Tensor:
        """What one factor says after a backward pass of the task's loss alone, shape (its entries,).

        Args:
            factor: A module that scales channels by its `weight` and perhaps shifts them by its `bias`.
        """

    @abstractmethod
    def joined(self, factors: Tensor) -> Tensor:
        """What all factors of a unit say together; (factors, channels) to (channels,)."""

    def score(self, factors: Sequence[tuple[nn.Module, Entries]]) -> Tensor:
        """Scores of one present unit after a backward pass of the task's loss alone; shape (channels,).

        Args:
            factors: What scales its channels, and the channels' entries in it.
        """
        return self.joined(
            torch.cat([by_channel(self.of_factor(factor), entries).T for factor, entries in factors])
        )

    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Average scores over batches; batch norms use their running statistics. See `Importance.measure`.

        Raises:
            HwticketsError: A score is not finite.
        """
        units, model = list(units), evidence.model
        assert isinstance(model, Supernet)
        device = next(model.parameters()).device
        totals: Scores = {}
        count = 0
        model.zero_grad(set_to_none=True)
        with evaluating(model), torch.enable_grad():
            for number, (x, target) in enumerate(evidence.batches(), 1):
                (evidence.loss(model(x.to(device)), target.to(device)) / parts).backward()
                if number % parts:
                    continue
                add_scores(totals, score_units(model, units, self))
                model.zero_grad(set_to_none=True)
                count += 1
        return finite({name: total.cpu() / count for name, total in totals.items()}, self.name)


class TaylorImportance(FactorImportance):
    """Squared first-order Taylor expansion of the loss on the factors of a channel.

    `(sum over its factors of scale * dL/dscale + shift * dL/dshift)^2`, averaged over batches: how much the
    loss would change without the channel. For an inserted gate of scale 1 that is
    `(sum over the channel's weights of w * dL/dw)^2`. Unlike `|scale|` it is comparable between layers.
    Source: Molchanov et al., Importance Estimation for Neural Network Pruning (CVPR 2019), section 3.2, gate
    form.
    """

    name = "taylor"

    def of_factor(self, factor: nn.Module) -> Tensor:
        """The first-order change of the loss without each entry of a factor."""
        scale, shift = _scale(factor), getattr(factor, "bias", None)
        assert scale.grad is not None
        change = scale.detach() * scale.grad
        if isinstance(shift, Tensor) and shift.grad is not None:
            change = change + shift.detach() * shift.grad
        return change

    def joined(self, factors: Tensor) -> Tensor:
        """The square of the whole change."""
        return factors.sum(0).square()


class BNScaleImportance(FactorImportance):
    """`|scale|` of a channel's batch norm, or gate; the mean where it has several.

    Ranks channels inside a unit; it is no currency between layers. Gates say something once they were trained
    under a penalty. Source: Network Slimming (ICCV 2017), section 3; SuperTickets (ECCV 2022), section 3.
    """

    name = "bn-scale"

    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Sizes of scales; see `Importance.measure`.

        Raises:
            HwticketsError: Units have no batch norm, and their gates are as they were put in.
        """
        assert isinstance(evidence.model, Supernet)
        units = list(units)
        fresh = _untrained(evidence.model, units)
        if fresh:
            more = f" and {len(fresh) - 3} more" if len(fresh) > 3 else ""
            raise HwticketsError(
                f"importance {self.name}: no batch norm scales {', '.join(fresh[:3])}{more}, and the gates in"
                " their place were not trained, so that all channels would be worth the same; use taylor"
            )
        return super().measure(evidence, units, parts)

    def of_factor(self, factor: nn.Module) -> Tensor:
        """The size of the scales."""
        return _scale(factor).detach().abs()

    def joined(self, factors: Tensor) -> Tensor:
        """The mean of the factors."""
        return factors.mean(0)


def _untrained(model: Supernet, units: Iterable[Unit]) -> list[str]:
    """Units that have nothing but a gate, all of whose scales are one."""
    places = Places(model, units := list(units))
    alone = [unit for unit in units if unit.gates and len(unit.factors) == 1 and places.widths[unit.name]]
    return [unit.name for unit in alone if all(_is_fresh(gate) for gate, _ in places.factors(unit))]


def _is_fresh(gate: nn.Module) -> bool:
    return bool((_scale(gate) == 1).all())


def score_units(model: Supernet, units: Iterable[Unit], importance: FactorImportance) -> Scores:
    """Scores every present unit from the gradients that the model holds now.

    Returns:
        Tensors of shape (present channels,) by unit name.
    """
    units = list(units)
    places = Places(model, units)
    return {unit.name: importance.score(places.factors(unit)) for unit in units if places.widths[unit.name]}


def add_scores(totals: Scores, scores: Mapping[str, Tensor]) -> None:
    """Adds scores to running totals, in place."""
    with torch.no_grad():
        for name, score in scores.items():
            totals[name] = totals[name] + score if name in totals else score.clone()


def finite(scores: Scores, importance: str) -> Scores:
    """The scores, if all of them are numbers.

    Raises:
        HwticketsError: One is not; names its unit.
    """
    for unit, score in scores.items():
        if not bool(score.isfinite().all()):
            raise HwticketsError(
                f"importance {importance}: the scores of {unit} are not finite; look for NaN in the data, the"
                " weights and the loss, or lower learning_rate"
            )
    return scores


def _scale(factor: nn.Module) -> Tensor:
    scale = factor.weight
    assert isinstance(scale, Tensor)
    return scale
