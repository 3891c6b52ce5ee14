"""What every part of one network costs on a device in fp32 and in int8, measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwtickets.deploy.evidence import NOISE_IMAGES, Evidence, disturbance, outputs_of
from hwtickets.deploy.layers import by_block, layer_times
from hwtickets.deploy.parts import Crossing, Parts
from hwtickets.deploy.quantization import Array, Quantizer
from hwtickets.runtimes import Bench
from hwtickets.runtimes.partly_half import partly_half
from hwtickets.sparsity.precisions import Border, PrecisionColumns

PRECISIONS = ["fp32", "int8"]
#: Timed runs of a network.
RUNS = 200
#: Mixed networks that tell what conversions cost, beside the two that alternate.
_RANDOM_MIXES = 4
#: Validation images that a part's loss is measured on.
_LOSS_IMAGES = 500

_Vector = NDArray[np.float64]
Choice = Mapping[str, str]


@dataclass(frozen=True)
class MixableNetwork:
    """A network that can be had in any mix of fp32, fp16 and int8.

    Attributes:
        exact: In fp32, serialized.
        parts: What can be chosen for.
        quantizer: Of the network.
        blocks: Names of the searching blocks.
    """

    exact: bytes
    parts: Parts
    quantizer: Quantizer
    blocks: list[str]

    def mixed(self, chosen: Choice) -> bytes:
        """The serialized network, given the precision of every part."""
        halves = self.parts.nodes_at("fp16", chosen)
        model = self.exact
        if "int8" in chosen.values():
            model = self.quantizer.quantized([*self.parts.nodes_at("fp32", chosen), *halves])
        return partly_half(model, halves) if halves else model

    def only(self, *parts: str, precision: str = "int8") -> dict[str, str]:
        """The choice of a precision for some parts alone."""
        return {part: precision if part in parts else "fp32" for part in self.parts.nodes}


def measured_columns(network: MixableNetwork, evidence: Evidence, bench: Bench) -> PrecisionColumns:
    """Measures latency and loss of every part in both precisions, and what a conversion between them costs.

    Times of parts come from the runtime's profiles of the network in fp32 and in int8, scaled to its latency.
    Some mixed networks are timed beside these two: what exceeds their parts is put down to the conversions,
    one price a tensor and one an element.

    Args:
        network: The network.
        evidence: What losses are measured on.
        bench: The device.

    Raises:
        NoProfileError: The runtime does not tell the times of its operators.
    """
    image = evidence.images[:1]
    names = list(network.parts.nodes)
    mixes = _mixes(network)
    models = {str(number): network.mixed(chosen) for number, chosen in enumerate(mixes)}
    timings = bench.time(models, {"x": image}, RUNS)
    latencies_ms = np.array([timings[name].p50_ms for name in models])
    latency_ms = np.stack(
        [_part_times(network, models[str(place)], bench, image, latencies_ms[place]) for place in (0, 1)], 1
    )
    loss = np.stack([np.zeros(len(names)), _losses(network, evidence)], 1)
    free = PrecisionColumns(names, PRECISIONS, latency_ms, loss, _borders(network, 0.0, 0.0))
    return PrecisionColumns(names, PRECISIONS, latency_ms, loss, _priced(network, free, mixes, latencies_ms))


def _mixes(network: MixableNetwork) -> list[dict[str, str]]:
    """All in fp32, all in int8, every other part in int8, and some at random."""
    names = list(network.parts.nodes)
    random = np.random.default_rng(0)
    some = [names[::2], names[1::2]]
    some += [[name for name in names if random.random() < 0.5] for _ in range(_RANDOM_MIXES)]
    return [network.only(*chosen) for chosen in ([], names, *some)]


def _part_times(
    network: MixableNetwork, model: bytes, bench: Bench, image: Array, latency_ms: float
) -> _Vector:
    layers = layer_times(model, network.blocks, bench, image, latency_ms)
    found = {str(entry["name"]): float(entry["ms"]) for entry in by_block(layers)}
    times_ms = np.array([found.get(part, 0.0) for part in network.parts.nodes])
    scaled: _Vector = times_ms * (latency_ms / max(float(times_ms.sum()), 1e-12))
    return scaled


def _losses(network: MixableNetwork, evidence: Evidence) -> _Vector:
    """What the score loses by every part alone in int8, in the metric's unit.

    What a score on some hundred images cannot tell apart, the disturbance of the outputs does: together it
    counts as much as one image.
    """
    exact = evidence.score(network.exact, _LOSS_IMAGES)
    images = evidence.images[:NOISE_IMAGES]
    outputs = outputs_of(network.exact, images)
    drops, noise = [], []
    for part in network.parts.nodes:
        alone = network.mixed(network.only(part))
        drops.append(max(0.0, exact - evidence.score(alone, _LOSS_IMAGES)))
        noise.append(disturbance(alone, images, outputs))
    one_image = 100 / min(len(evidence.images), _LOSS_IMAGES)
    losses: _Vector = np.array(drops) + one_image * np.array(noise) / max(sum(noise), 1e-30)
    return losses


def _borders(network: MixableNetwork, tensor_ms: float, element_ms: float) -> list[Border]:
    return [
        Border(crossing.producer, crossing.consumers, tensor_ms + element_ms * crossing.elements)
        for crossing in network.parts.crossings
    ]


def _priced(
    network: MixableNetwork, free: PrecisionColumns, mixes: list[dict[str, str]], latencies_ms: _Vector
) -> list[Border]:
    """Borders at the prices that explain best what mixed networks take beyond their parts."""
    crossings = network.parts.crossings
    excess_ms = latencies_ms - [free.latency_of(chosen) for chosen in mixes]
    return _borders(network, *conversion_prices([conversions(crossings, mix) for mix in mixes], excess_ms))


def conversions(crossings: Sequence[Crossing], chosen: Choice) -> tuple[int, int]:
    """How many tensors are converted, and how many elements they have, given the precision of every part."""
    counts = [Border(crossing.producer, crossing.consumers, 0.0).changes(chosen) for crossing in crossings]
    elements = [count * crossing.elements for count, crossing in zip(counts, crossings, strict=True)]
    return sum(counts), sum(elements)


def conversion_prices(converted: Sequence[tuple[int, int]], excess_ms: _Vector) -> tuple[float, float]:
    """What a conversion costs in ms, for each tensor and for each of its elements.

    Args:
        converted: What `conversions` says of some networks.
        excess_ms: What these take beyond their parts, shape (networks,).
    """
    from scipy.optimize import nnls

    features = np.array(converted, dtype=np.float64).reshape(len(converted), 2)
    scale = np.maximum(features.max(axis=0, initial=0), 1.0)
    prices_ms, _ = nnls(features / scale, excess_ms)
    tensor_ms, element_ms = (prices_ms / scale).tolist()
    return tensor_ms, element_ms
