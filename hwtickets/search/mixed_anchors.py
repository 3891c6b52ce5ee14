"""What tables of several precisions are worth now: networks and mixes, timed next to the dense one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hwtickets.deploy.columns import MixableNetwork, conversion_prices, conversions
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices import open_bench
from hwtickets.search.job import Job
from hwtickets.search.mixed_prices import Conversions, MixedPrices
from hwtickets.search.space_profile import ANCHOR_RUNS, SpaceProfile
from hwtickets.space.operators import OperatorGraph
from hwtickets.sparsity.allocation import Allocation
from hwtickets.sparsity.choices import PricedSpace, price_network, price_space
from hwtickets.tables import LatencyTable
from hwtickets.tables.skeleton import random_inputs, skeleton_model

#: Networks that are timed besides the largest, and mixes of each.
_SAMPLES, _MIXES = 3, 2


@dataclass(frozen=True)
class _Anchor:
    """A network that is timed.

    Attributes:
        drawn: Its widths and forms.
        graph: Its operators.
        network: It, in any mix.
        mixes: Precision by part of each that is timed.
    """

    drawn: Allocation
    graph: OperatorGraph
    network: MixableNetwork
    mixes: list[dict[str, str]]


def priced_mix(
    job: Job, base: LatencyTable, others: Mapping[str, LatencyTable], profile: SpaceProfile
) -> MixedPrices:
    """Prices at the device's present speed; where nobody can measure, as the tables have them.

    Networks of the space are timed in every precision and in mixes next to the dense one. What they take in
    one precision corrects that precision's table; what a mix takes beyond its parts is put down to the
    conversions, one price a tensor and one an element.

    Args:
        job: The search or draw.
        base: Its table in the precision of training.
        others: Tables of other precisions, by precision.
        profile: Costs of the dense network, as they were just measured.
    """
    tables = {base.precision: base, **others}
    prices = MixedPrices(job.space, tables, dict.fromkeys(tables, profile.correction), Conversions())
    if not job.device.measurable:
        return prices
    anchors = _anchors(job, prices)
    latency_ms = _timed(job, anchors, list(others), profile.dense["latency"])
    corrections = {base.precision: profile.correction}
    for precision in others:
        predicted_ms = [tables[precision].predict(anchor.graph).ms for anchor in anchors]
        corrections[precision] = float(np.median(latency_ms[precision] / np.array(predicted_ms)))
    free = replace(prices, corrections=corrections)
    mixes = [(anchor, mix) for anchor in anchors for mix in anchor.mixes]
    parts_ms = [free.latency_ms(replace(anchor.drawn, precisions=mix)) for anchor, mix in mixes]
    converted = [conversions(anchor.network.parts.crossings, mix) for anchor, mix in mixes]
    found = conversion_prices(converted, latency_ms["mixes"] - np.array(parts_ms))
    return replace(free, conversions=Conversions(*found, measured=True))


def _anchors(job: Job, prices: MixedPrices) -> list[_Anchor]:
    """The largest network and some others of the space."""
    costs = prices.costs(prices.precisions[0])
    priced = price_space(job.space, costs, job.alignment, floor=job.config.floor)
    assert isinstance(priced, PricedSpace)
    random = np.random.default_rng(job.config.seed)
    networks = [job.space.dense(), *(priced.sample(random) for _ in range(_SAMPLES))]
    return [_anchor(job, prices, widths, random) for widths in networks]


def _anchor(job: Job, prices: MixedPrices, widths: dict[str, int], random: np.random.Generator) -> _Anchor:
    space = job.space
    forms, costs = price_network(space, widths, prices.costs(prices.precisions[0]))
    graph = space.graph(widths, forms)
    model = skeleton_model(graph)
    quantizer = Quantizer.for_timing(model, recipe_for(job.device.runtime))
    network = MixableNetwork(model, parts_of(model, space.blocks), quantizer, list(space.blocks))
    mixes = [{part: str(random.choice(prices.precisions)) for part in prices.parts} for _ in range(_MIXES)]
    return _Anchor(Allocation(widths, forms, costs, 1.0), graph, network, mixes)


def _timed(
    job: Job, anchors: list[_Anchor], precisions: list[str], dense_ms: float
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Latencies in ms of all anchors by precision, and of all "mixes", anchor by anchor.

    They are as they would have been when the dense network took `dense_ms`: budgets are shares of that.
    """
    models: dict[str, bytes] = {}
    groups: dict[str, list[str]] = {precision: [] for precision in [*precisions, "mixes"]}

    def add(group: str, model: bytes) -> None:
        groups[group].append(f"{group} {len(groups[group])}")
        models[groups[group][-1]] = model

    for anchor in anchors:
        network = anchor.network
        for precision in precisions:
            add(precision, network.mixed(network.only(*network.parts.nodes, precision=precision)))
        for mix in anchor.mixes:
            add("mixes", network.mixed(mix))
    models["dense"] = anchors[0].network.exact
    with open_bench(job.device, job.built_at) as bench:
        timings = bench.time(models, random_inputs(anchors[0].graph), ANCHOR_RUNS)
    speed = dense_ms / timings["dense"].p50_ms
    return {
        group: np.array([speed * timings[name].p50_ms for name in names]) for group, names in groups.items()
    }
