"""Which operators stay in fp32, so that an 8-bit network loses no more accuracy than it may."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hwtickets.deploy.evidence import disturbance, outputs_of
from hwtickets.deploy.quantization import Array, Quantizer
from hwtickets.errors import NumericsError


@dataclass(frozen=True)
class PartlyQuantized:
    """An 8-bit network that keeps the accuracy that was asked for.

    Attributes:
        model: Serialized.
        score: Its score.
        kept: Operators in fp32, the most sensitive first.
    """

    model: bytes
    score: float
    kept: list[str]


def quantize_within(
    quantizer: Quantizer,
    score: Callable[[bytes], float],
    least_score: float,
    model: bytes,
    images: Array,
) -> PartlyQuantized:
    """Quantizes as much as the accuracy allows.

    Everything if that is good enough; else operators are ranked by the noise that quantizing each of them
    alone brings into the outputs, and the fewest that suffice, the noisiest first, stay in fp32 (bisection).

    Args:
        quantizer: Of the network.
        score: Measures a serialized network; higher is better.
        least_score: What it has to reach.
        model: The network in fp32, serialized.
        images: What the noise is measured on, shape (images, channels, height, width).

    Raises:
        NumericsError: Not even a network with one operator in int8 is good enough.
    """
    whole = quantizer.quantized()
    found = PartlyQuantized(whole, score(whole), [])
    if found.score >= least_score:
        return found
    noisiest = _by_noise(quantizer, model, images)
    fewest, most = 1, len(noisiest)
    best: PartlyQuantized | None = None
    while fewest < most:
        count = (fewest + most) // 2
        part = quantizer.quantized(noisiest[:count])
        found = PartlyQuantized(part, score(part), noisiest[:count])
        if found.score >= least_score:
            best, most = found, count
        else:
            fewest = count + 1
    if best is None:
        raise NumericsError(
            f"int8 loses too much: {found.score:.4g} is left, {least_score:.4g} is needed, even with all but"
            " one of the operators in fp32; allow more (--max-drop), or deploy in fp32"
        )
    return best


def _by_noise(quantizer: Quantizer, model: bytes, images: Array) -> list[str]:
    """Names of the operators, the one whose quantization disturbs the outputs most first."""
    exact = outputs_of(model, images)

    def noise(node: str) -> float:
        alone = quantizer.quantized([other for other in quantizer.nodes if other != node])
        return disturbance(alone, images, exact)

    return sorted(quantizer.nodes, key=noise, reverse=True)
