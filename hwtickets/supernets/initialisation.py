"""First values of a network's weights."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import nn

#: Weights of convolutions whose outputs are heatmaps' start this small (HR-NAS, keypoint settings).
_SMALL_STD = 1e-3


def initialise(model: nn.Module, method: str) -> None:
    """Sets all weights anew, in place; norms begin as the identity and biases at zero.

    Args:
        model: The network.
        method: One of `METHODS`: "mnas" (convolutions normal with variance 2 / fan-out, the fan-out of a
            depthwise one being its taps; linear layers uniform; MnasNet, arXiv:1807.11626, as its public
            code does) or "small" (all convolutions normal with standard deviation 1e-3, for heatmaps).
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            METHODS[method](module)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def _mnas(module: nn.Conv2d | nn.Linear) -> None:
    if isinstance(module, nn.Linear):
        bound = 1 / math.sqrt(module.out_features)
        nn.init.uniform_(module.weight, -bound, bound)
        return
    depthwise = module.groups == module.in_channels
    fan_out = module.weight[0, 0].numel() * (1 if depthwise else module.out_channels)
    nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))


def _small(module: nn.Conv2d | nn.Linear) -> None:
    nn.init.normal_(module.weight, std=_SMALL_STD)


METHODS: dict[str, Callable[[nn.Conv2d | nn.Linear], None]] = {"mnas": _mnas, "small": _small}
