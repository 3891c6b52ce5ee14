"""SynFlow: weights scored without data, by how much flow from input to output runs through them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from hwtickets.errors import HwticketsError
from hwtickets.sparsity.weight_importance import Evidence, WeightImportance, WeightScores, gradients_of

_SCALED = ("layer_norm", "group_norm", "rms_norm")
#: Flows below this share of the largest one are zero.
_ROUNDING = 1e-9


class SynFlow(WeightImportance):
    """`|w| * dR/d|w|` with `R = 1^T (product over layers of |W|) 1`, scored and removed in many small rounds.

    R is the output's sum for an input of ones, all weights positive, biases and means zero. Scores of a layer
    sum to R, so no layer is emptied before the others as long as the rounds are small: the sparsity of round
    k of n is `1 - (1 - s)^(k/n)`. What the paper's networks do not have is made linear too: LayerNorm and
    GroupNorm only scale, attention looks at all places alike. Source: Tanaka et al., Pruning neural networks
    without any data by iteratively conserving synaptic flow (NeurIPS 2020), section 5 and algorithm 1.

    Args:
        rounds: n; 100 in the paper.
    """

    name = "synflow"

    def __init__(self, rounds: int = 100) -> None:
        self.rounds = rounds

    def score(self, evidence: Evidence) -> WeightScores:
        """Scores in double precision (a product over all layers overflows a float); no data is looked at.

        Raises:
            HwticketsError: A flow is negative: the network takes differences, or norms of its own.
        """
        model = _positive(evidence.model).requires_grad_(True)
        weights = evidence.weights(model)
        first = next(iter(weights.values()))
        shape = evidence.model.input_shape
        ones = torch.ones(1, *shape, dtype=torch.float64, device=first.device)  # type: ignore[misc]
        with torch.enable_grad(), _Linear():
            flow = model(ones).sum()
        scores: WeightScores = {}
        flows = gradients_of(flow, list(weights.values()))
        for (name, weight), part in zip(weights.items(), flows, strict=True):
            scores[name] = weight.detach() * part
            if bool((scores[name] < -_ROUNDING * scores[name].abs().max()).any()):
                raise HwticketsError(
                    f"importance {self.name}: the flow through {name} is negative, so this network is not"
                    " positive as the criterion takes it to be; use taylor, or snip for masks"
                )
        return scores


class _Linear(TorchFunctionMode):
    """Within it norms only scale and attention weighs all places alike."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "").rstrip("_")
        if name in _SCALED:
            return _scaled(args[0], kwargs.get("weight", args[2] if len(args) > 2 else None), name)
        if name == "softmax":
            axis = kwargs.get("dim", args[1] if len(args) > 1 else -1)
            return torch.full_like(args[0], 1 / args[0].shape[axis])
        if name == "scaled_dot_product_attention":
            query, _, value = (*args, *(kwargs[key] for key in ("query", "key", "value")[len(args) :]))[:3]
            return _mean_of(value, query)
        return func(*args, **kwargs)


def _scaled(x: Tensor, scale: Tensor | None, name: str) -> Tensor:
    if scale is None:
        return x
    return x * (scale.view(-1, *[1] * (x.dim() - 2)) if name == "group_norm" else scale)


def _mean_of(value: Tensor, query: Tensor) -> Tensor:
    mean = value.mean(-2, keepdim=True)
    if query.dim() > 3 and query.shape[-3] != value.shape[-3]:
        mean = mean.repeat_interleave(query.shape[-3] // value.shape[-3], -3)
    return mean.expand(*query.shape[:-1], value.shape[-1])


def _positive(model: nn.Module) -> nn.Module:
    """A copy without signs and offsets: linear in its input as long as that is positive."""
    positive = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for name, parameter in positive.named_parameters():
            parameter.zero_() if "bias" in name.rpartition(".")[2] else parameter.abs_()
        for module in positive.modules():
            if isinstance(module, _BatchNorm) and module.running_mean is not None:
                module.running_mean.zero_()
    return positive
