"""Whether a stored table still describes the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.devices import DeviceProfile, differences, open_bench
from hwtickets.progress import Progress
from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.accuracy import table_accuracy
from hwtickets.tables.measure import Journal, measure_networks
from hwtickets.tables.sampling import Space, reference_networks, sampled_alignment, sampled_networks
from hwtickets.tables.table import LatencyTable

#: Far from the seeds of `build_table`, so that the networks are new to the table.
_SEED = 1_000_003
#: Networks that are named, and operators of each.
_FURTHEST, _COSTLIEST = 3, 4


@dataclass(frozen=True)
class TableCheck:
    """How a table did on networks measured now.

    Attributes:
        networks: How many.
        machine_scale: Median of measured over predicted; the device's present speed.
        error: Errors of the predictions as they are; keys as in `LatencyTable.error`.
        error_after_scale: The same after multiplying by `machine_scale`.
        furthest: The networks that are furthest off after that: `error` (measured over predicted, less one)
            and the costliest of their `operators`, with how the table knows them and their share.
        differences: What has changed about the device since.
    """

    networks: int
    machine_scale: float
    error: dict[str, float]
    error_after_scale: dict[str, float]
    furthest: list[dict[str, Any]]
    differences: list[str]


def check_table(
    table: LatencyTable,
    space: Space,
    device: DeviceProfile,
    samples: int = 30,
    seed: int = 0,
    progress: Progress | None = None,
) -> TableCheck:
    """Measures random networks of the space and compares them with the table's predictions.

    Args:
        table: The table in doubt.
        space: The space that it was built for.
        device: The device, now.
        samples: How many networks.
        seed: Of their choice.
        progress: Shows one stage, counted in networks.
    """
    alignment = sampled_alignment(space, device.alignment)
    graphs = sampled_networks(space, alignment, samples, _SEED + seed)
    progress = progress or Progress(quiet=True)
    with (
        TemporaryDirectory(prefix="hwtickets-") as folder,
        open_bench(device, table.precision) as bench,
        progress.stage("check table", samples, "network") as stage,
    ):
        journal = Journal(Path(folder) / "check.jsonl", {})
        references = reference_networks(space, alignment)
        measured_ms = measure_networks(graphs, references, bench, journal, stage).median_ms
    predicted_ms = np.array([table.predict(graph).ms for graph in graphs])
    scale = float(np.median(measured_ms / predicted_ms))
    return TableCheck(
        networks=samples,
        machine_scale=scale,
        error=table_accuracy(table, graphs, measured_ms),
        error_after_scale=table_accuracy(table, graphs, measured_ms / scale),
        furthest=_furthest(table, graphs, measured_ms / (scale * predicted_ms) - 1),
        differences=differences(table.fingerprint, bench.fingerprint),
    )


def _furthest(
    table: LatencyTable, graphs: Sequence[OperatorGraph], errors: NDArray[np.float64]
) -> list[dict[str, Any]]:
    places = np.argsort(-np.abs(errors), kind="stable")[:_FURTHEST].tolist()
    return [
        {"error": float(errors[place]), "operators": _costliest(table, graphs[place])} for place in places
    ]


def _costliest(table: LatencyTable, graph: OperatorGraph) -> str:
    answers = table.lookup_many([operator.spec for operator in graph])
    total_ms = sum(answer.ms for answer in answers) or 1.0
    named = sorted(zip(graph, answers, strict=True), key=lambda entry: -entry[1].ms)[:_COSTLIEST]
    return "; ".join(
        f"{operator.name} ({answer.kind}, {100 * answer.ms / total_ms:.0f} %)" for operator, answer in named
    )
