"""What training runs on, and how it computes: nothing of it is part of what is learnt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig


@dataclass(frozen=True)
class Compute:
    """Settings of an `Accelerator`.

    Attributes:
        accelerator: "cpu", "cuda", or "auto": a CUDA GPU where there is one.
        precision: "fp32"; "bf16" or "fp16": the forward pass is autocast, weights and updates stay fp32.
        accumulate: Parts in which every process computes its share of a batch, one after the other.
        sync_batchnorm: Whether the processes share the batch norms' statistics while training.
    """

    accelerator: str = "auto"
    precision: str = "fp32"
    accumulate: int = 1
    sync_batchnorm: bool = True

    @staticmethod
    def of(config: SearchConfig) -> Compute:
        """As a configuration asks for it."""
        return Compute(config.accelerator, config.train_precision, config.accumulate, config.sync_batchnorm)
