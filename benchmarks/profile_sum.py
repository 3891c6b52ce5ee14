"""Sum of the per-operator profile against the whole network, by runtime and precision.

A profile takes time itself, and a run costs something besides its operators. Both are one constant a runtime
and precision, fitted on random networks of the same space: latency = sum - a x nodes + b. The correction is
then applied to the run's own dense network and ticket, which played no part in it. Every network is timed and
profiled alternately, several times; medians count.

python -m benchmarks.profile_sum --config configs/precisions.yaml --run runs/precisions
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks import common
from benchmarks.common import Points, Table, microseconds, percent
from benchmarks.deployed import (
    DENSE,
    TICKET,
    Way,
    bundles_of,
    devices_of,
    image_of,
    parser,
    quantized,
    runs_int8,
    versions_of,
)
from hwtickets.devices import DeviceProfile
from hwtickets.runtimes import time_interleaved
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tables.sampling import sampled_networks
from hwtickets.tables.skeleton import skeleton_model

#: What is aimed at.
GOAL = 0.05
#: Of the random networks.
SEED = 7_000_003


@dataclass(frozen=True)
class Correction:
    """What a profile costs, and what it leaves out.

    Attributes:
        node_ms: Taken off for every node that is executed.
        run_ms: Added once.
    """

    node_ms: float
    run_ms: float

    @staticmethod
    def fitted(measured: list[dict[str, Any]]) -> Correction:
        """Least relative squares over networks; neither constant can be negative."""
        latency_ms, sums_ms, nodes = (
            np.array([one[key] for one in measured]) for key in ("latency_ms", "sum_ms", "nodes")
        )
        design = np.stack([-nodes, np.ones(len(nodes))], axis=1) / latency_ms[:, None]
        (node_ms, run_ms), _ = nnls(design, (latency_ms - sums_ms) / latency_ms)
        return Correction(float(node_ms), float(run_ms))

    def error(self, one: Mapping[str, Any]) -> float:
        """What the corrected sum is beside the latency, as a share of it."""
        corrected = one["sum_ms"] - self.node_ms * one["nodes"] + self.run_ms
        return float(corrected / one["latency_ms"] - 1)


def ways_of(devices: list[DeviceProfile]) -> list[tuple[Way, str]]:
    """Every precision of every device, and int8, which is in the graph, where the runtime runs it."""
    ways = [(Way(device, precision), precision) for device in devices for precision in device.precisions]
    eight = [(Way(device), "int8") for device in devices if runs_int8(device)]
    return sorted([*ways, *eight], key=lambda way: way[0].device.name)


def random_models(options: argparse.Namespace, shape: tuple[int, int, int], alignment: int) -> list[bytes]:
    """Random networks of the space, with random weights."""
    space = common.empty_space(common.search_config(options.config).supernet, shape)
    return [skeleton_model(graph) for graph in sampled_networks(space, alignment, options.networks, SEED)]


def measure(
    way: Way, models: Mapping[str, bytes], image: Mapping[str, NDArray[Any]], runs: int, turns: int
) -> dict[str, dict[str, Any]]:
    """Latency, sum and number of nodes of every network."""
    runtime = way.runtime()
    found: dict[str, dict[str, Any]] = {}
    for name, model in models.items():
        session, latencies, sums, nodes = runtime.load(model), [], [], 0
        for _ in range(turns):
            latencies.append(time_interleaved({name: session}, image, runs)[name].p50_ms)
            times = runtime.node_times(model, image, runs)
            sums.append(sum(time.mean_ms for time in times.values()))
            nodes = len(times)
        found[name] = {
            "latency_ms": float(np.median(latencies)),
            "sum_ms": float(np.median(sums)),
            "nodes": nodes,
        }
    return found


def judged(found: dict[str, dict[str, Any]], own: list[str]) -> dict[str, Any]:
    """The correction, fitted on the random networks, and what it makes of the others."""
    correction = Correction.fitted([one for name, one in found.items() if name not in own])
    networks = {
        name: {
            **found[name],
            "raw_error": found[name]["sum_ms"] / found[name]["latency_ms"] - 1,
            "error": correction.error(found[name]),
        }
        for name in own
    }
    return {"node_ms": correction.node_ms, "run_ms": correction.run_ms, "networks": networks}


def rows_of(device: str, precision: str, point: dict[str, Any]) -> list[list[str]]:
    """Rows of the table, one a network."""
    correction = f"{-1000 * point['node_ms']:+.1f} us a node, {1000 * point['run_ms']:+.1f} us a run"
    return [
        [
            device,
            precision,
            name.split()[0],
            microseconds(one["latency_ms"]),
            str(one["nodes"]),
            microseconds(one["sum_ms"]),
            f"{100 * one['raw_error']:+.1f} %",
            correction,
            f"{100 * one['error']:+.1f} %",
        ]
        for name, one in point["networks"].items()
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    made = parser(__doc__, 400, "runs a turn, timed and profiled")
    made.add_argument("--turns", type=int, default=5, metavar="N", help="of each network (default: 5)")
    made.add_argument(
        "--networks", type=int, default=12, metavar="N", help="random ones for the fit (default: 12)"
    )
    return made.parse_args()


def main() -> None:
    """Measures every precision of every device and prints the sums."""
    options = arguments()
    bundles, devices = bundles_of(options), devices_of(options)
    ticket = options.run / "ticket"
    shape = Ticket.load(ticket).architecture.input_shape
    points = Points("profile_sum", options.output, {"ticket": ticket_hash(ticket)})
    results, rows = [], []
    for way, precision in ways_of(devices):
        device = way.device
        plain = {
            **{name: (bundles[name] / "model.onnx").read_bytes() for name in (DENSE, TICKET)},
            **{
                str(number): model
                for number, model in enumerate(random_models(options, shape, device.alignment))
            },
        }
        models = (
            {name: quantized(model, shape) for name, model in plain.items()} if precision == "int8" else plain
        )
        point = points.once(
            {"device": device.name, "precision": precision, "runs": options.runs, "turns": options.turns},
            lambda way=way, models=models: judged(  # type: ignore[misc]
                measure(way, models, image_of(bundles[TICKET]), options.runs, options.turns), [DENSE, TICKET]
            ),
        )
        results.append({"device": device.name, "precision": precision, **point})
        rows += rows_of(device.name, precision, point)
    columns = ("device", "precision", "network", "latency", "nodes", "sum", "off", "correction", "then off")
    errors = [abs(one["error"]) for point in results for one in point["networks"].values()]
    within = sum(error <= GOAL for error in errors)
    title = f"{within} of {len(errors)} sums within {percent(GOAL, 0)}, {versions_of(devices)}"
    common.show({"points": results}, [Table(title, columns, rows)], options.json)


if __name__ == "__main__":
    common.run(main)
