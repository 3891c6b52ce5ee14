"""What tasks with classes do alike with logits, whose classes lie on axis 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


def softened_divergence(outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Divergence of the softened class probabilities, averaged over images and, in maps, places.

    Args:
        outputs: Logits (B, classes, ...).
        taught: Logits of the teacher, of the same shape.
        temperature: Softens both; the factor of its square keeps the gradients' size.

    Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network (2015), section 2.
    """
    own = nn.functional.log_softmax(outputs.float() / temperature, 1)
    other = nn.functional.log_softmax(taught.float() / temperature, 1)
    total = nn.functional.kl_div(own, other, reduction="sum", log_target=True)
    return temperature**2 * total / (outputs.numel() // outputs.shape[1])


def same_first_class(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """Share of the images, or places of maps, whose largest logit is of the same class."""
    return float((expected.argmax(1) == actual.argmax(1)).mean())
