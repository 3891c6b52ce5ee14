"""MACs of a module, counted by fvcore."""

from __future__ import annotations

import logging

import torch
from torch import nn


def count_macs(model: nn.Module, input_shape: tuple[int, int, int]) -> int:
    """Multiply-accumulates of convolutions and matrix products at batch 1.

    fvcore's `FlopCountAnalysis` counts one per multiply-accumulate; its entries for norms and pooling are
    left out, so that the number agrees with `torch.utils.flop_counter` / 2.

    Args:
        model: The network.
        input_shape: Channels, height and width (pixels) of one input.
    """
    from fvcore.nn import FlopCountAnalysis

    logging.getLogger("fvcore").setLevel(logging.ERROR)
    was_training = model.training
    analysis = FlopCountAnalysis(model.eval(), torch.zeros(1, *input_shape))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    by_operator = analysis.by_operator()
    model.train(was_training)
    return int(sum(by_operator[name] for name in ("conv", "linear", "matmul", "addmm", "bmm", "einsum")))
