"""Which operators stay in fp32, so that a network in fewer bits loses no more accuracy than it may."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.deploy.evidence import outputs_of
from hwtickets.deploy.quantization import Array
from hwtickets.errors import NumericsError


@dataclass(frozen=True)
class Lowering:
    """How a network gets into fewer bits.

    Attributes:
        precision: e.g. "int8".
        nodes: Names of the operators that can stay in fp32 one by one.
        lowered: The serialized network, given the names of those that do.
        outputs: What a serialized network makes of images, where its precision shows.
    """

    precision: str
    nodes: Sequence[str]
    lowered: Callable[[Collection[str]], bytes]
    outputs: Callable[[bytes, Array], Array] = outputs_of


@dataclass(frozen=True)
class PartlyLowered:
    """A network in fewer bits that keeps the accuracy that was asked for.

    Attributes:
        model: Serialized.
        score: Its score.
        kept: Operators in fp32, the most sensitive first.
    """

    model: bytes
    score: float
    kept: list[str]


def lowered_within(
    lowering: Lowering,
    score: Callable[[bytes], float],
    least_score: float,
    model: bytes,
    images: Array,
) -> PartlyLowered:
    """Lowers as much as the accuracy allows.

    Everything if that is good enough; else operators are ranked by the noise that lowering each of them
    alone brings into the outputs, and the fewest that suffice, the noisiest first, stay in fp32 (bisection).

    Args:
        lowering: Of the network.
        score: Measures a serialized network; higher is better.
        least_score: What it has to reach.
        model: The network in fp32, serialized.
        images: What the noise is measured on, shape (images, channels, height, width).

    Raises:
        NumericsError: Not even with all but one of these operators in fp32 it is good enough.
    """
    whole = lowering.lowered(())
    found = PartlyLowered(whole, score(whole), [])
    if found.score >= least_score:
        return found
    noisiest = _by_noise(lowering, model, images)
    fewest, most = 1, len(noisiest)
    best: PartlyLowered | None = None
    while fewest < most:
        count = (fewest + most) // 2
        part = lowering.lowered(noisiest[:count])
        found = PartlyLowered(part, score(part), noisiest[:count])
        if found.score >= least_score:
            best, most = found, count
        else:
            fewest = count + 1
    if best is None:
        raise NumericsError(
            f"{lowering.precision} loses too much: {found.score:.4g} is left, {least_score:.4g} is needed,"
            f" even with {len(found.kept)} of the {len(noisiest)} operators in fp32 that can stay so;"
            " allow more (--max-drop), or deploy in fp32"
        )
    return best


def _by_noise(lowering: Lowering, model: bytes, images: Array) -> list[str]:
    """Names of the operators, the one whose lowering disturbs the outputs most first."""
    exact = outputs_of(model, images)

    def noise(node: str) -> float:
        alone = lowering.lowered([other for other in lowering.nodes if other != node])
        return float(np.square(lowering.outputs(alone, images) - exact).mean())

    return sorted(lowering.nodes, key=noise, reverse=True)
