"""Networks in 16 bits as GPUs compute them: products are summed in fp32, every tensor is rounded.

A CPU does not show by itself what 16 bits cost: ONNX Runtime leaves out roundings between operators that it
computes in fp32, and PyTorch's convolutions in fp16 take many times as long as those in fp32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from hwtickets.runtimes.onnx_to_torch import to_module

_SHORT = (torch.float16, torch.bfloat16)


def rounded_outputs(model: bytes, images: NDArray[np.float32]) -> NDArray[Any]:
    """What a serialized network makes of images, one at a time; shape (images, ...).

    Args:
        model: The network; what is in 16 bits in its graph is rounded to them.
        images: Its inputs, shape (images, channels, height, width).

    Raises:
        HwticketsError: PyTorch has no form of an operator; names it.
    """
    module = _Rounding(to_module(model))
    with torch.inference_mode():
        outputs = [module.run(torch.from_numpy(image[None]))[0] for image in images]
    return torch.cat(outputs).numpy()


class _Rounding(fx.Interpreter):
    """Computes every operator in fp32 and rounds what it gives to the type of what it takes."""

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        short = next((value.dtype for value in args if _is_short(value)), None)
        if short is None or target is torch.Tensor.to:
            return super().call_function(target, args, kwargs)
        wide = tuple(value.float() if _is_short(value) else value for value in args)
        found = super().call_function(target, wide, kwargs)
        return found.to(short) if isinstance(found, Tensor) else tuple(part.to(short) for part in found)


def _is_short(value: object) -> bool:
    return isinstance(value, Tensor) and value.dtype in _SHORT
