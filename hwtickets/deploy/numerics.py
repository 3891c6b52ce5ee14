"""Whether a deployed network computes what the trained one computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import NumericsError
from hwtickets.tasks.decisions import agreement_of

Array = NDArray[np.float32]

#: Largest error that counts as the same network, as a share of the largest reference output, by precision.
#: Half precision keeps 11 bits, about 1e-3 an operation, bfloat16 8 bits, about 4e-3; ten times that over a
#: network is a guess that no board has confirmed yet. With eight bits, alone or mixed with others, only gross
#: faults show here: the export checks the score itself.
TOLERANCES = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 5e-2, "int8": 0.2, "mixed": 0.2}

#: Runtimes that compute fp32 in TF32 where the GPU has it, which keeps as many digits as fp16.
_TF32_RUNTIMES = ("tensorrt", "trtexec")


def tolerance_of(precision: str, fingerprint: Mapping[str, str]) -> float:
    """How far a network may be off on a device, as a share of the largest reference output.

    Args:
        precision: Of the exported graph. An 8-bit graph stays one on a device of another precision; a plain
            one is built in the device's own.
        fingerprint: Of the device.
    """
    built = fingerprint["precision"]
    widened = built == "fp32" and fingerprint.get("runtime", "").startswith(_TF32_RUNTIMES)
    return max(TOLERANCES[precision], TOLERANCES["fp16" if widened else built])


@dataclass(frozen=True)
class Numerics:
    """A comparison over images.

    Attributes:
        images: How many images were compared.
        max_abs_error: Largest difference of an output.
        max_rel_error: The same as a share of the largest reference output.
        cosine: Cosine between the outputs of both for the image where it is smallest.
        agreement: What both decide alike, in the task's words; see `agreement_of`.
        tolerance: Largest `max_rel_error` that is accepted.
        worst_image: Index of the image with the largest difference.
    """

    images: int
    max_abs_error: float
    max_rel_error: float
    cosine: float
    agreement: dict[str, float]
    tolerance: float
    worst_image: int

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance; not a number is not."""
        return self.max_rel_error <= self.tolerance

    def require_ok(self, model: Path, cause: str = "") -> None:
        """Raises a NumericsError that names model and cause if the error is beyond the tolerance."""
        if not self.ok:
            raise NumericsError(
                f"{model}: outputs differ from PyTorch by {self.max_rel_error:.2g} of the largest output"
                f" (allowed: {self.tolerance:.0e}); {f'{cause}; ' if cause else ''}export the ticket again"
            )

    def as_dict(self) -> dict[str, Any]:
        """The figures, JSON-able."""
        return {
            "images": self.images,
            "max_abs_error": self.max_abs_error,
            "max_rel_error": self.max_rel_error,
            "tolerance": self.tolerance,
            "cosine": self.cosine,
            **self.agreement,
        }


def compare_outputs(expected: Array, actual: Array, tolerance: float, task: str) -> Numerics:
    """Compares outputs of shape (images, ...) with the reference.

    Args:
        expected: The reference.
        actual: What the deployed network computed.
        tolerance: Largest accepted error, as a share of the largest reference output.
        task: Name of the task, which says what is decided by the outputs.
    """
    flat = expected.reshape(len(expected), -1).astype(np.float64)
    other = actual.reshape(len(actual), -1).astype(np.float64)
    errors = np.abs(flat - other).max(1)
    lengths = np.linalg.norm(flat, axis=1) * np.linalg.norm(other, axis=1)
    cosines = (flat * other).sum(1) / np.maximum(lengths, 1e-30)
    # argmax finds a value that is not a number first, and the largest of values with one is not a number.
    worst = int(errors.argmax())
    return Numerics(
        images=len(expected),
        max_abs_error=float(errors[worst]),
        max_rel_error=float(errors[worst] / max(np.abs(flat).max(), 1e-12)),
        cosine=float(cosines.min()),
        agreement=agreement_of(task, expected, actual),
        tolerance=tolerance,
        worst_image=worst,
    )
