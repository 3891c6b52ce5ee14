"""How well the table predicts latency on this machine, on random networks that it has never seen.

Four groups of networks: widths uniform over all aligned ones, or sparse (most branches gone, as in tickets of
small budgets); deployed forms as the draw would choose them, or random. Predicted by the table as it was
stored, by the table with the search's correction to the device's present speed (from eight other networks,
timed just before), by the table at the speed that the dense network had beside them, and by the best straight
line through MACs (fitted on as many further networks of the same group, which is generous to it). The last
two are free of what the neighbours of a shared machine change from one minute to the next.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from benchmarks import common
from benchmarks.common import Points, Table, percent
from hwtickets.costs import AdditiveCost, LatencyCost
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.progress import Progress
from hwtickets.search.space_profile import profile_space
from hwtickets.space.operators import OperatorGraph
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network
from hwtickets.tables import LatencyTable, table_for
from hwtickets.tables.accuracy import accuracy, macs_accuracy
from hwtickets.tables.measure import Journal, Latencies, measure_networks
from hwtickets.tables.sampling import reference_networks

Distribution = Literal["uniform", "sparse"]
DISTRIBUTIONS: tuple[Distribution, ...] = ("uniform", "sparse")
FORMS = ("drawn", "random")
PREDICTORS = ("table", "table, corrected", "table, beside dense", "MACs")
#: Share of the branches that a network of the sparse group loses.
REMOVED = 0.65
#: Away from the seeds that tables are built and checked with.
SEED_BASE = 7_000_003


@dataclass(frozen=True)
class Sample:
    """A random network.

    Attributes:
        widths: Channels by unit.
        graph: Its operators as deployed.
    """

    widths: dict[str, int]
    graph: OperatorGraph


class Sampler:
    """Draws random networks of a space.

    Args:
        space: The search space.
        alignment: Widths are multiples of this, or full.
        latency: Chooses the forms that the draw would.
        seed: Of everything random.
    """

    def __init__(self, space: SearchSpace, alignment: int, latency: AdditiveCost, seed: int) -> None:
        self._space, self._alignment, self._latency = space, alignment, latency
        self._random = np.random.default_rng(SEED_BASE + seed)

    def networks(self, count: int, distribution: Distribution, forms: str) -> list[Sample]:
        """`count` networks."""
        return [self._network(distribution, forms) for _ in range(count)]

    def _network(self, distribution: Distribution, forms: str) -> Sample:
        widths = {unit: self._width(unit, distribution) for unit in self._space.units}
        chosen = self._drawn_forms(widths) if forms == "drawn" else self._random_forms()
        return Sample(widths, self._space.graph(widths, chosen))

    def _width(self, unit: str, distribution: Distribution) -> int:
        allowed = self._space.widths_allowed(unit, self._alignment)
        if distribution == "sparse" and self._random.random() < REMOVED:
            return allowed[0]
        return int(self._random.choice(allowed))

    def _drawn_forms(self, widths: dict[str, int]) -> dict[str, str]:
        return price_network(self._space, widths, {"latency": self._latency})[0]

    def _random_forms(self) -> dict[str, str]:
        return {block: str(self._random.choice(names)) for block, names in self._space.forms().items()}


@dataclass(frozen=True)
class Bench:
    """What all groups share: the space, the device, its table, how many networks a group has, the seed."""

    space: SearchSpace
    device: DeviceProfile
    table: LatencyTable
    networks: int
    seed: int

    def group(self, distribution: Distribution, forms: str) -> dict[str, Any]:
        """Measures one group; half of the networks fit the line through MACs, the other half is predicted."""
        profile = profile_space(
            self.space, self.device, self.table, self.device.alignment, floor=0, seed=SEED_BASE + self.seed
        )
        place = list(itertools.product(DISTRIBUTIONS, FORMS)).index((distribution, forms))
        sampler = Sampler(
            self.space, self.device.alignment, LatencyCost(self.table).additive(), 10 * self.seed + place
        )
        samples = sampler.networks(2 * self.networks, distribution, forms)
        dense = self.space.graph(self.space.dense())
        measured = self._measure(samples)
        measured_ms = measured.median_ms
        fitted, checked = samples[: self.networks], samples[self.networks :]
        fitted_ms, checked_ms = measured_ms[: self.networks], measured_ms[self.networks :]
        predicted_ms = np.array([self.table.predict(sample.graph).ms for sample in checked])
        speed = measured.reference_ms / self.table.predict(dense).ms
        plain = [[self.space.plain_graph(sample.widths) for sample in part] for part in (fitted, checked)]
        macs = macs_accuracy(plain[0], fitted_ms, plain[1], checked_ms)
        return {
            "networks": len(checked),
            "correction": profile.correction,
            "speed": speed,
            "fastest_ms": float(checked_ms.min()),
            "slowest_ms": float(checked_ms.max()),
            "table": accuracy(predicted_ms, checked_ms),
            "table, corrected": accuracy(profile.correction * predicted_ms, checked_ms),
            "table, beside dense": accuracy(speed * predicted_ms, checked_ms),
            "MACs": {key.removeprefix("macs_"): value for key, value in macs.items()},
            "predicted_ms": (profile.correction * predicted_ms).tolist(),
            "measured_ms": checked_ms.tolist(),
        }

    def _measure(self, samples: list[Sample]) -> Latencies:
        graphs = [sample.graph for sample in samples]
        references = reference_networks(self.space, self.device.alignment)
        with (
            TemporaryDirectory(prefix="hwtickets-") as folder,
            open_bench(self.device) as bench,
            Progress().stage("measure", len(graphs), "network") as stage,
        ):
            journal = Journal(Path(folder) / "networks.jsonl", {})
            return measure_networks(graphs, references, bench, journal, stage)


def rows_of(distribution: str, forms: str, result: dict[str, Any]) -> list[list[str]]:
    """One row for each predictor of a group."""
    return [
        [
            f"{distribution}, {forms} forms",
            predictor,
            str(result["networks"]),
            percent(result[predictor]["within_10"], 0),
            percent(result[predictor]["median_error"]),
            percent(result[predictor]["p90_error"]),
            f"{result[predictor]['kendall_tau']:.3f}",
        ]
        for predictor in PREDICTORS
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this part."""
    group = parser.add_argument_group("random networks on this machine, without --fit and --test")
    group.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file with the keys of a search (default: the demo's)",
    )
    group.add_argument(
        "--networks", type=int, default=30, metavar="N", help="predicted networks a group (default: 30)"
    )
    group.add_argument("--seed", type=int, default=0, help="of the networks (default: 0)")
    group.add_argument(
        "--input",
        type=common.input_shape,
        default=(1, 28, 28),
        metavar="CxHxW",
        help="channels, height and width of the inputs (default: 1x28x28)",
    )


def run(options: argparse.Namespace) -> None:
    """Measures every group and prints the errors."""
    config = common.search_config(options.config)
    space, device = common.empty_space(config.supernet, options.input), get_device(config.device)
    table = table_for(space, device, config.precision, Progress())
    bench = Bench(space, device, table, options.networks, options.seed)
    settings = {"supernet": config.supernet, "input": options.input, "table": table.provenance}
    points = Points("prediction", options.output, settings)
    results, rows = [], []
    for distribution, forms in itertools.product(DISTRIBUTIONS, FORMS):
        key = {"widths": distribution, "forms": forms, "networks": options.networks, "seed": options.seed}
        result = points.once(key, partial(bench.group, distribution, forms))
        results.append({**key, **result})
        rows += rows_of(distribution, forms, result)
    columns = (
        "widths and forms",
        "predictor",
        "networks",
        "within 10 %",
        "median error",
        "90 % are within",
        "tau",
    )
    title = "Predicted against measured latency, networks never used for calibration"
    common.show({"points": results}, [Table(title, columns, rows)], options.json)
