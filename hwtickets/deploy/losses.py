"""What each part of a network costs in score in each precision, before anything is drawn from it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from hwtickets.deploy.columns import MixableNetwork
from hwtickets.deploy.evidence import NOISE_IMAGES, Evidence, disturbance, outputs_of


def part_losses(
    network: MixableNetwork, evidence: Evidence, precisions: Collection[str]
) -> dict[str, dict[str, float]]:
    """What the score loses by each part in each precision, in the metric's unit; in fp32 nothing.

    The whole network in a precision loses so and so much on the validation images, one image at least. Its
    parts share that in proportion to how much each of them alone disturbs the outputs: scores themselves
    cannot tell one part from another on so few images.

    Args:
        network: The network.
        evidence: The images.
        precisions: Besides fp32.

    Returns:
        Losses by part and precision.
    """
    exact = evidence.score(network.exact)
    images = evidence.images[:NOISE_IMAGES]
    outputs = outputs_of(network.exact, images)
    parts, one_image = list(network.parts.nodes), 100 / len(evidence.images)
    losses = {part: {"fp32": 0.0} for part in parts}
    for precision in precisions:
        whole = evidence.score(network.mixed(network.only(*parts, precision=precision)))
        noise = np.array(
            [
                disturbance(network.mixed(alone), images, outputs)
                for alone in (network.only(part, precision=precision) for part in parts)
            ]
        )
        shares = noise / max(float(noise.sum()), 1e-30) * max(exact - whole, one_image)
        for part, share in zip(parts, shares.tolist(), strict=True):
            losses[part][precision] = share
    return losses
