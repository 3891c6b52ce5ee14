"""RMSprop as image classifiers are trained with it: epsilon inside the square root."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class RMSprop(torch.optim.Optimizer):
    """`v <- a v + (1 - a) g^2; m <- b m + g / sqrt(v + eps); w <- w - rate m`; g: the gradient plus decay.

    torch's own adds epsilon outside the root, which at 1e-3 is another optimizer. Source: SuperTickets (ECCV
    2022), ImageNet (a = b = 0.9, eps = 1e-3), after Tan et al., MnasNet (CVPR 2019).

    Args:
        groups: Parameter groups with their `weight_decay`, added to the gradient.
        lr: Rate.
        alpha: Weight of the past in the mean square.
        momentum: Of the steps.
        eps: Added to the mean square.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float = 0.0,
        alpha: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
    ) -> None:
        super().__init__(
            groups, {"lr": lr, "alpha": alpha, "momentum": momentum, "eps": eps, "weight_decay": 0.0}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates every parameter that has a gradient; a closure is not taken."""
        assert closure is None
        for group in self.param_groups:
            self._step_group(group)

    def _step_group(self, group: dict[str, Any]) -> None:
        parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not parameters:
            return
        gradients = [parameter.grad for parameter in parameters]
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        squares = [self._kept(parameter, "square_avg") for parameter in parameters]
        steps = [self._kept(parameter, "momentum_buffer") for parameter in parameters]
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        sizes = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(sizes)
        torch._foreach_mul_(steps, group["momentum"])
        torch._foreach_addcdiv_(steps, gradients, sizes)
        torch._foreach_add_(parameters, steps, alpha=-group["lr"])

    def _kept(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        kept: Tensor = state[name]
        return kept
