"""Where in a network NaN or infinity comes up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from hwtickets.modules.calls import body_name


@torch.no_grad()
def where_not_finite(model: nn.Module, x: Tensor) -> str:
    """From where on a network gives numbers that are not finite, e.g. "from conv1 on"; empty where none does.

    Args:
        model: The network; runs in the mode it is in.
        x: What comes in, where the network is.
    """
    found: list[str] = []

    def expecting(name: str) -> Callable[[nn.Module, Any], None]:
        def expect(_: nn.Module, inputs: Any) -> None:
            if not found and not _finite(tree_flatten(inputs)[0]):
                found.append(f"from what goes into {body_name(name) or 'it'} on")

        return expect

    def seeing(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def see(layer: nn.Module, _: Any, outputs: Any) -> None:
            if not found and not _finite(tree_flatten(outputs)[0]):
                found.append(_described(body_name(name), layer))

        return see

    # Parts within others end before them, so the first one that ends is the innermost.
    hooks = [part.register_forward_hook(seeing(name)) for name, part in model.named_modules()]
    hooks += [part.register_forward_pre_hook(expecting(name)) for name, part in model.named_modules()]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""


def _described(name: str, layer: nn.Module) -> str:
    if _finite([*layer.parameters(), *layer.buffers()]):
        return f"from {name} on" if name else "in its own forward"
    return f"from {name} on, whose weights or statistics are not finite either"


def _finite(values: list[Any]) -> bool:
    return all(bool(value.isfinite().all()) for value in values if isinstance(value, Tensor))
