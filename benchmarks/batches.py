"""How far latencies of the same networks are apart from one batch of a table's build to the next.

A table times its networks in batches, minutes apart, each beside a large and a small reference. Ten networks
of a space are timed again and again as a build times them, and compared: their medians as they are; medians
as multiples of the references' medians; and as tables take them, multiples of the references turn by turn.

python -m benchmarks.batches
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.architectures import Architecture, chosen
from benchmarks.zoo_ticket import Hosted
from hwtickets.devices import get_device, open_bench
from hwtickets.progress import Progress
from hwtickets.tables.measure import BATCH, Journal, Latencies, measure_networks
from hwtickets.tables.sampling import reference_networks, sampled_alignment, sampled_networks

_NETWORKS = ["mobilenetv2_050", "resnet18", "mobilevit_xxs"]


def main() -> None:
    """Times a batch of every space again and again."""
    parser = common.parser(__doc__)
    parser.add_argument("--networks", type=common.texts, default=_NETWORKS, help="of the zoo")
    parser.add_argument("--rounds", type=int, default=10, help="batches (default: 10)")
    options = parser.parse_args()
    found = {network.name: spreads(network, options.rounds) for network in chosen(options.networks)}
    rows = [[name, *map(common.percent, spread.values())] for name, spread in found.items()]
    columns = ["space", "medians", "beside the references' medians", "turn by turn"]
    title = (
        f"Standard deviation of a network's latency over {options.rounds} batches, mean of {BATCH} networks"
    )
    common.show({"spaces": found}, [common.Table(title, columns, rows)], options.json)


def spreads(architecture: Architecture, rounds: int) -> dict[str, float]:
    """Standard deviation of logarithms over the batches, by the way of comparing them."""
    space, device = Hosted.of(architecture).space, get_device("cpu")
    alignment = sampled_alignment(space, device.alignment)
    graphs, references = sampled_networks(space, alignment, BATCH, 0), reference_networks(space, alignment)
    with tempfile.TemporaryDirectory() as folder, open_bench(device) as bench:
        journal = Journal(Path(folder) / "journal.jsonl", {})
        with Progress(quiet=True).stage("batches") as stage:
            measure_networks(graphs * rounds, references, bench, journal, stage)
        records = journal.all("network")
    turns = Latencies(records)
    return {
        "medians": _spread([record["median_ms"] for record in records]),
        "batches": _spread(Latencies(list(map(_by_medians, records))).median_ms.tolist()),
        "turns": _spread(turns.median_ms.tolist()),
    }


def _by_medians(record: Mapping[str, Any]) -> dict[str, Any]:
    return {**record, "ratios": [record["median_ms"] / ms for ms in record["references_ms"]]}


def _spread(latencies_ms: Sequence[float]) -> float:
    return float(np.log(latencies_ms).reshape(-1, BATCH).std(axis=0, ddof=1).mean())


if __name__ == "__main__":
    common.run(main)
