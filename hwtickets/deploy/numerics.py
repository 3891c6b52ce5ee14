"""Whether a deployed network computes what the trained one computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import NumericsError

Array = NDArray[np.float32]

#: Largest error that counts as the same network, as a share of the largest reference output, by precision.
#: Half precision keeps 11 bits, about 1e-3 an operation; ten times that over a network is a guess that no
#: board has confirmed yet. With eight bits only gross faults show here: the export checks the score itself.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "int8": 0.2}


@dataclass(frozen=True)
class Numerics:
    """A comparison over images.

    Attributes:
        images: How many images were compared.
        max_abs_error: Largest difference of an output.
        max_rel_error: The same as a share of the largest reference output.
        top1_agreement: Share of decisions (classes of images or pixels, joints) that are the same.
        tolerance: Largest `max_rel_error` that is accepted.
    """

    images: int
    max_abs_error: float
    max_rel_error: float
    top1_agreement: float
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; not a number is not."""
        return self.max_rel_error <= self.tolerance

    def require_ok(self, model: Path) -> None:
        """Raises a NumericsError that names the model if the error is beyond the tolerance."""
        if not self.ok:
            raise NumericsError(
                f"{model}: outputs differ from PyTorch by {self.max_rel_error:.2g} of the largest output"
                f" (allowed: {self.tolerance:.0e}); export the ticket again"
            )

    def as_dict(self) -> dict[str, Any]:
        """The fields, JSON-able."""
        return asdict(self)


def compare_outputs(
    expected: Array, actual: Array, tolerance: float, agreement: Callable[[Array, Array], float]
) -> Numerics:
    """Compares outputs of shape (images, ...) with the reference.

    Args:
        expected: The reference.
        actual: What the deployed network computed.
        tolerance: Largest accepted error, as a share of the largest reference output.
        agreement: Share of decisions that both agree in; see `Task.agreement`.
    """
    difference = float(np.abs(expected.astype(np.float64) - actual).max())
    largest = max(float(np.abs(expected).max()), 1e-12)
    return Numerics(len(expected), difference, difference / largest, agreement(expected, actual), tolerance)
