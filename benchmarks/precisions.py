"""What precisions and runtimes are worth: the dense network in fp32, its ticket in fp32 and in int8.

Every network in every runtime takes turns with all the others in one process: latency with the 95 % interval
of its median, ratios from pairs. The accuracy is that of the deployed network, run image by image on the test
data. int8 is quantized within 0.5 points on validation images. The question is fair where operators are large
enough to be bound by arithmetic: take a wide network.

python -m benchmarks.precisions --config configs/precisions.yaml --run runs/precisions
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import common
from benchmarks.common import Points, Table
from benchmarks.deployed import (
    DENSE,
    INT8,
    TICKET,
    Way,
    bundles_of,
    devices_of,
    image_of,
    parser,
    runs_int8,
    versions_of,
)
from hwtickets.budgets import format_amount
from hwtickets.devices import DeviceProfile
from hwtickets.recipes.retrain import task_of
from hwtickets.runtimes import Timing, median_ms, paired_ratio, time_interleaved
from hwtickets.runtimes.timing import Runnable
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tasks.task import Task

#: What int8 shall be worth: times as fast as fp32, and the most points that it may cost.
GOAL_SPEEDUP, GOAL_DROP = 1.8, 0.5


class Deployed(nn.Module):
    """A network in a runtime, as a module that a task can score."""

    def __init__(self, session: Runnable) -> None:
        super().__init__()
        self._session = session
        # Tasks ask the parameters of a module where it computes.
        self.nothing = nn.Parameter(torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images of shape (images, channels, height, width), run one at a time."""
        outputs = [self._session.run({"x": image[None]})[0] for image in x.contiguous().numpy()]
        return torch.from_numpy(np.concatenate(outputs))


def compare(
    bundles: dict[str, Path], devices: list[DeviceProfile], task: Task, runs: int
) -> dict[str, dict[str, Any]]:
    """Times and scores every network in every runtime.

    Returns:
        By device and network: median with interval in ms, ratios to the fp32 ticket and the dense network on
        the same device and to the same network on the first device, test score, size in bytes.
    """
    sessions = {
        (device.name, name): Way(device).runtime().load(bundle / "model.onnx")
        for device in devices
        for name, bundle in bundles.items()
        if name != INT8 or runs_int8(device)
    }
    timings = time_interleaved(
        {f"{device} {name}": session for (device, name), session in sessions.items()},
        image_of(bundles[TICKET]),
        runs,
    )
    first = devices[0].name
    found: dict[str, dict[str, Any]] = {device.name: {} for device in devices}
    for (device, name), session in sessions.items():
        own = timings[f"{device} {name}"]
        found[device][name] = {
            "latency_ms": _named(median_ms(own)),
            "clock": own.clock,
            "to_dense": _ratio(own, timings[f"{device} {DENSE}"]),
            "to_ticket": _ratio(own, timings[f"{device} {TICKET}"]),
            "to_first_device": _ratio(own, timings[f"{first} {name}"]),
            "test": task.score(Deployed(session), "test"),
            "size_bytes": (bundles[name] / "model.onnx").stat().st_size,
        }
    return found


def _ratio(one: Timing, other: Timing) -> dict[str, float]:
    return _named(paired_ratio(one, other))


def _named(values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip(("median", "low", "high"), values, strict=True))


def verdict(device: str, found: dict[str, Any]) -> dict[str, Any]:
    """What int8 is worth on a device."""
    ratio, drop = found[INT8]["to_ticket"], found[TICKET]["test"] - found[INT8]["test"]
    return {
        "device": device,
        "speedup": {"median": 1 / ratio["median"], "low": 1 / ratio["high"], "high": 1 / ratio["low"]},
        "drop": drop,
        "met": 1 / ratio["median"] >= GOAL_SPEEDUP and drop <= GOAL_DROP,
    }


def row_of(device: str, name: str, entry: dict[str, Any]) -> list[str]:
    """A row of the table of networks."""
    latency = entry["latency_ms"]
    return [
        device,
        name,
        f"{latency['median']:.4f} ({latency['low']:.4f}-{latency['high']:.4f})",
        common.ratio_text(entry["to_dense"]),
        common.ratio_text(entry["to_ticket"]),
        common.ratio_text(entry["to_first_device"]),
        f"{entry['test']:.2f}",
        format_amount("size", entry["size_bytes"]),
    ]


def verdict_row(entry: dict[str, Any]) -> list[str]:
    """A row of the table of verdicts."""
    goal = f"{GOAL_SPEEDUP} at {GOAL_DROP} points: {'met' if entry['met'] else 'not met'}"
    return [entry["device"], common.ratio_text(entry["speedup"]), f"{entry['drop']:+.2f}", goal]


def main() -> None:
    """Measures all networks and prints latency, accuracy and size."""
    options = parser(__doc__, 2000, "timed runs of each").parse_args()
    bundles, devices = bundles_of(options), devices_of(options)
    ticket = options.run / "ticket"
    task, identity = task_of(Ticket.load(ticket)), ticket_hash(ticket)
    points = Points("precisions", options.output, {"ticket": identity})
    found = points.once(
        {"devices": options.devices, "runs": options.runs},
        lambda: compare(bundles, devices, task, options.runs),
    )
    verdicts = [verdict(device, entries) for device, entries in found.items() if INT8 in entries]
    columns = (
        "device",
        "network",
        "latency ms (95 %)",
        "to dense",
        "to ticket fp32",
        f"to {options.devices[0]}",
        f"test {task.metric_unit}",
        "file",
    )
    rows = [row_of(device, name, entry) for device, own in found.items() for name, entry in own.items()]
    tables = [
        Table(f"Ticket {identity} in {versions_of(devices)}", columns, rows),
        Table(
            "int8 against fp32, the ticket",
            ("device", "times as fast", "points lost", "goal"),
            [verdict_row(entry) for entry in verdicts],
        ),
    ]
    common.show({"ticket": identity, "devices": found, "int8": verdicts}, tables, options.json)


if __name__ == "__main__":
    common.run(main)
