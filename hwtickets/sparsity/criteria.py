"""Importances of channels by name; most of them sum a criterion for single weights over a channel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwtickets.errors import unknown
from hwtickets.space.slicing import present_widths
from hwtickets.space.units import Member, Unit
from hwtickets.sparsity.channel_weights import Entries, Places, summed
from hwtickets.sparsity.importance import BNScaleImportance, Importance, Scores, TaylorImportance, finite
from hwtickets.sparsity.synflow import SynFlow
from hwtickets.sparsity.weight_importance import (
    Evidence,
    Grasp,
    Magnitude,
    Snip,
    WeightImportance,
    WeightScores,
)
from hwtickets.supernets.base import Supernet


class WeightSum(Importance):
    """Sums a criterion for single weights over the weights that make a channel.

    Where several layers make it (the writers of a residual stream, a convolution and the depthwise one behind
    it), their mean counts: a chain of layers is worth no more than one.

    Attributes:
        weights: The criterion for single weights.
    """

    weights: WeightImportance
    #: Whether layers that read a channel count as well, and all are summed.
    _group = False

    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Scores; see `Importance.measure`."""
        model = evidence.model
        assert isinstance(model, Supernet)
        places = Places(model, units := list(units))
        present = [unit for unit in units if places.widths[unit.name]]
        held = {unit.name: places.weights(unit, readers=self._group) for unit in present}
        scored = self._scored(replace(evidence, weights=lambda network: _tensors(network, held)))
        scores = {name: self._of_unit(summed(scored, weights)) for name, weights in held.items()}
        compared = self._compared({name: score.float().cpu() for name, score in scores.items()})
        return finite(compared, self.name)

    def _scored(self, evidence: Evidence) -> WeightScores:
        return self.weights.score(evidence)

    def _of_unit(self, layers: Tensor) -> Tensor:
        """Scores (layers, channels) of one unit as one number a channel."""
        return layers.mean(0)

    def _compared(self, scores: Scores) -> Scores:
        """The scores as a currency between units."""
        return scores


class _Relative(WeightSum):
    """Magnitudes are no currency between layers: what counts is the share of the unit's mean.

    Source of the normalisation: Fang et al., DepGraph (CVPR 2023), section 3.4, there by the mean of the
    largest ones.
    """

    def _compared(self, scores: Scores) -> Scores:
        return {name: score / score.mean().clamp_min(1e-12) for name, score in scores.items()}


class MagnitudeL1(_Relative):
    """`sum |w|` over the filter that makes a channel, relative to the unit's mean.

    Source: Li et al., Pruning Filters for Efficient ConvNets (ICLR 2017), section 3.1.
    """

    name = "magnitude-l1"
    weights = Magnitude()


class MagnitudeL2(_Relative):
    """`sqrt(sum w^2)` over the filter that makes a channel, relative to the unit's mean.

    Source: He et al., Soft Filter Pruning (IJCAI 2018), section 3.2, with p = 2.
    """

    name = "magnitude-l2"
    weights = Magnitude()

    def _scored(self, evidence: Evidence) -> WeightScores:
        return {name: score.square() for name, score in super()._scored(evidence).items()}

    def _of_unit(self, layers: Tensor) -> Tensor:
        return layers.sqrt().mean(0)


class MagnitudeGroup(_Relative):
    """`sum w^2` over all weights that fall away with a channel, of the layers that make and that read it.

    Relative to the unit's mean. Source: Fang et al., DepGraph: Towards Any Structural Pruning (CVPR 2023),
    section 3.4, group-level importance.
    """

    name = "magnitude-group"
    weights = Magnitude()
    _group = True

    def _scored(self, evidence: Evidence) -> WeightScores:
        return {name: score.square() for name, score in super()._scored(evidence).items()}

    def _of_unit(self, layers: Tensor) -> Tensor:
        return layers.sum(0)


class ChannelSnip(WeightSum):
    """`sum |w * dL/dw|` over the weights that make a channel: SNIP's saliency of its connections.

    Source: Lee et al., SNIP (ICLR 2019), section 4.1, equation 5, summed over a channel.
    """

    name = "snip"
    weights = Snip()


class ChannelGrasp(WeightSum):
    """`sum w * Hg` over the weights that make a channel: how much gradient flow is lost without it.

    Source: Wang et al., GraSP (ICLR 2020), section 4, equation 8; first order in the weights, so that the sum
    is the channel's own score. It is a ranking with both signs: the lowest of all channels counts as zero.
    """

    name = "grasp"
    weights = Grasp()

    def _compared(self, scores: Scores) -> Scores:
        lowest = min(float(score.min()) for score in scores.values())
        return {name: score - lowest for name, score in scores.items()}


class ChannelSynFlow(WeightSum):
    """`sum |w| * dR/d|w|` over the weights that make a channel: the synaptic flow through it.

    What flows into a unit flows out of it, so that all layers' scores sum to the same. Scored in one
    round, where the paper removes weights in many: what the removal of others does to a channel is not seen.
    Source: Tanaka et al., SynFlow (NeurIPS 2020), section 4, neuron-wise conservation.
    """

    name = "synflow"
    weights = SynFlow()


class RandomChannels(Importance):
    """Uniform random numbers: what a criterion must beat."""

    name = "random"

    def measure(self, evidence: Evidence, units: Iterable[Unit], parts: int = 1) -> Scores:
        """Scores; see `Importance.measure`."""
        model = evidence.model
        assert isinstance(model, Supernet)
        generator = torch.Generator().manual_seed(evidence.seed % 2**63)
        widths = present_widths(model, units)
        return {name: torch.rand(width, generator=generator) for name, width in widths.items() if width}


IMPORTANCES: dict[str, type[Importance]] = {
    importance.name: importance
    for importance in (
        TaylorImportance,
        BNScaleImportance,
        MagnitudeL1,
        MagnitudeL2,
        MagnitudeGroup,
        ChannelSnip,
        ChannelGrasp,
        ChannelSynFlow,
        RandomChannels,
    )
}


def build_importance(name: str) -> Importance:
    """An importance by name; an unknown one is a usage error."""
    if name not in IMPORTANCES:
        raise unknown("importance", name, IMPORTANCES)
    return IMPORTANCES[name]()


def _tensors(network: nn.Module, held: Mapping[str, Sequence[tuple[Member, Entries]]]) -> dict[str, Tensor]:
    """The weights of all units, in a network of the same names."""
    names = dict.fromkeys(member.name for weights in held.values() for member, _ in weights)
    return {name: network.get_parameter(name) for name in names}
