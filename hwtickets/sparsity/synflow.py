"""SynFlow: weights scored without data, by how much flow from input to output runs through them."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwtickets.sparsity.weight_importance import Evidence, WeightImportance, WeightScores, gradients_of


class SynFlow(WeightImportance):
    """`|w| * dR/d|w|` with `R = 1^T (product over layers of |W|) 1`, scored and removed in many small rounds.

    R is the output's sum for an input of ones, all weights positive, biases and means zero. Scores of a layer
    sum to R, so no layer is emptied before the others as long as the rounds are small: the sparsity of round
    k of n is `1 - (1 - s)^(k/n)`. Source: Tanaka et al., Pruning neural networks without any data by
    iteratively conserving synaptic flow (NeurIPS 2020), section 5 and algorithm 1.

    Args:
        rounds: n; 100 in the paper.
    """

    name = "synflow"

    def __init__(self, rounds: int = 100) -> None:
        self.rounds = rounds

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores in double precision (a product over all layers overflows a float); no data is looked at."""
        model = _positive(evidence.model)
        weights = evidence.weights(model)
        first = next(iter(weights.values()))
        shape = evidence.model.input_shape
        ones = torch.ones(1, *shape, dtype=torch.float64, device=first.device)  # type: ignore[misc]
        with torch.enable_grad():
            flows = gradients_of(model(ones).sum(), list(weights.values()))
        return {
            name: weight.detach() * flow for (name, weight), flow in zip(weights.items(), flows, strict=True)
        }


def _positive(model: nn.Module) -> nn.Module:
    """A copy without signs and offsets: linear in its input as long as that is positive."""
    positive = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for name, parameter in positive.named_parameters():
            parameter.zero_() if name.endswith("bias") else parameter.abs_()
        for module in positive.modules():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                module.running_mean.zero_()
    return positive
