"""A roofline: what an operator takes by its arithmetic and its traffic, where no measured row says it.

    latency = launch + (compute^s + traffic^s)^(1/s)

Compute is multiply-accumulates over a throughput, channels counted as the runtime pads them; traffic is bytes
over a bandwidth. s = 1: the two add up; s large: the longer one hides the other. The constants belong to
groups of alike operators, each drawn towards what all groups have in common, so that a few measurements are
enough and an operator of a kind that was never seen still gets a price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorSpec

Vector = NDArray[np.float64]

#: Images have 1 to 4 channels; runtimes have kernels of their own for them.
_IMAGE_CHANNELS = 4
_LARGE_KERNEL = 5
#: An operator this many times larger than all of the fit is not like them.
_FAR = 4.0
#: No constant is as large as this.
_MOST = 1e12


@dataclass(frozen=True)
class Roof:
    """Constants of one group.

    Attributes:
        launch_ms: Of every operator, whatever its size.
        ms_per_gmac: For 1e9 multiply-accumulates, padded channels included.
        ms_per_mb: For 1e6 bytes of inputs, weights and outputs, each value counted as 4 bytes.
    """

    launch_ms: float
    ms_per_gmac: float
    ms_per_mb: float


@dataclass(frozen=True)
class Roofline:
    """Constants of all groups of one device, runtime, precision and batch.

    Attributes:
        base: What the groups have in common; for operators of no known group.
        roofs: By group; see `roof_group`.
        sharpness: s in the formula.
        alignment: Channels are padded to multiples of this.
        batch: Images at once.
        error_share: Expected error for operators like those of the fit, as a share: two in three are nearer.
        unseen_error_share: The same for operators of no known group, or far larger than all of the fit.
        most_gmac: The most arithmetic of one operator in the fit, as in `Roof`.
        most_mb: The most traffic of one operator in the fit.
    """

    base: Roof
    roofs: Mapping[str, Roof]
    sharpness: float
    alignment: int
    batch: int
    error_share: float
    unseen_error_share: float
    most_gmac: float
    most_mb: float

    def price(self, specs: Sequence[OperatorSpec]) -> tuple[Vector, Vector]:
        """Latencies in ms and their expected errors as shares, (n,) each; blocks cost what their parts do."""
        parts = [(index, part) for index, spec in enumerate(specs) for part in spec.parts]
        owner = np.array([index for index, _ in parts], int)
        work = np.array([padded_work(part, self.alignment, self.batch) for _, part in parts]).reshape(-1, 2)
        known = [self.roofs.get(roof_group(part)) for _, part in parts]
        roofs = np.array([list(asdict(roof or self.base).values()) for roof in known]).reshape(-1, 3)
        ms = roof_ms(roofs, work, self.sharpness)
        unlike = np.array([roof is None for roof in known])
        unlike |= (work > _FAR * np.array([self.most_gmac, self.most_mb])).any(axis=1)
        doubt = np.where(unlike, self.unseen_error_share, self.error_share)
        total = np.bincount(owner, ms, len(specs)).astype(float)
        return total, np.bincount(owner, ms * doubt, len(specs)) / np.maximum(total, 1e-12)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for a file; `from_dict` reads them."""
        return {**asdict(self), "roofs": {name: asdict(roof) for name, roof in self.roofs.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Roofline:
        """The roofline of a file.

        Raises:
            ValueError, TypeError, KeyError: Something is missing or no number from 0 on.
        """
        content = dict(values)
        base, roofs = content.pop("base"), content.pop("roofs")
        if not isinstance(roofs, dict) or not all(isinstance(roof, dict) for roof in (base, *roofs.values())):
            raise TypeError("the roofline has no roofs")
        numbers = [*content.values(), *base.values()]
        for number in (*numbers, *(value for roof in roofs.values() for value in roof.values())):
            if type(number) not in (int, float) or not 0 <= number < _MOST:
                raise ValueError(f"the roofline holds {number!r}, not a number from 0 on")
        if not min(content["sharpness"], content["alignment"], content["batch"]) >= 1:
            raise ValueError("sharpness, alignment and batch of the roofline are numbers from 1 on")
        return cls(Roof(**base), {name: Roof(**roof) for name, roof in roofs.items()}, **content)


def roof_group(spec: OperatorSpec) -> str:
    """Operators of one group share their constants, e.g. "conv-k3", "conv-strip" (not square), "add"."""
    if spec.depthwise:
        return "conv-depthwise"
    if spec.kind == "activation":
        return f"activation-{spec.activation}"
    if spec.kind != "conv":
        return spec.kind
    if spec.kernel_width:
        return "conv-strip"
    return "conv-grouped" if spec.groups > 1 else f"conv-k{min(spec.kernel, _LARGE_KERNEL)}"


def padded_work(spec: OperatorSpec, alignment: int, batch: int) -> tuple[float, float]:
    """1e9 multiply-accumulates with padded channels, and 1e6 bytes, of a whole batch."""
    macs = float(spec.macs * batch)
    if spec.macs:
        macs *= _padding(spec.c_in, alignment) * (1.0 if spec.depthwise else _padding(spec.c_out, alignment))
    weights = 4 * spec.params
    return macs / 1e9, (weights + (spec.bytes_moved - weights) * batch) / 1e6


def _padding(channels: int, alignment: int) -> float:
    step = min(alignment, _IMAGE_CHANNELS) if channels <= _IMAGE_CHANNELS else alignment
    return -(-channels // step) * step / channels


def roof_ms(roofs: NDArray[np.float64], work: NDArray[np.float64], sharpness: float) -> Vector:
    """Latencies (n,) of roofs (n, 3) and padded work (n, 2)."""
    compute, traffic = roofs[:, 1] * work[:, 0], roofs[:, 2] * work[:, 1]
    if sharpness == 1.0:
        return roofs[:, 0] + compute + traffic
    longer = np.maximum(np.maximum(compute, traffic), 1e-300)
    both = (compute / longer) ** sharpness + (traffic / longer) ** sharpness
    return roofs[:, 0] + longer * both ** (1 / sharpness)
