"""How well a table of convolutions predicts those that it does not hold: a V100 in TensorRT.

Of the measured rows of each precision and batch 5 % or 1 % are kept, drawn at random; the table that they
make predicts all others. Beside it: the roofline alone, fitted to the same rows, and the best straight line
through MACs. The rows are those of the shipped tables, or with --data (or $HWTICKETS_DATA) those of the CSV
that they were made from; then a further line has fp16 as the source has it, with two campaigns mixed at batch
32.

python -m benchmarks.convolutions --data DIR --output results/convolutions.jsonl
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.common import Points, Table, percent
from hwtickets.errors import UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.accuracy import accuracy
from hwtickets.tables.roofline_fit import Sample, fit_roofline
from hwtickets.tables.shipped import load_shipped, shipped_device
from hwtickets.tables.table import LatencyTable, Row
from scripts.latency_sources.common import read_csv
from scripts.latency_sources.v100 import second_campaign, spec_of

DEVICE = "v100"
PRECISIONS = ("fp32", "fp16", "int8")
BOTH_CAMPAIGNS = "fp16, both campaigns"
FILE = Path("op_tables") / "v100_tensorrt_conv.csv"
PREDICTORS = ("table", "roofline", "MACs")
#: Latencies in ms of the convolutions of one precision, by batch.
Rows = dict[int, dict[OperatorSpec, float]]
Vector = NDArray[np.float64]


def shipped_rows() -> dict[str, Rows]:
    """The rows of the tables that ship, by precision."""
    found: dict[str, Rows] = {precision: {} for precision in PRECISIONS}
    for entry in shipped_device(DEVICE).tables:
        table = load_shipped(DEVICE, entry.runtime, entry.precision, entry.batch)
        found[entry.precision][entry.batch] = {spec: row.latency_ms for spec, row in table.rows.items()}
    return found


def source_rows(folder: Path) -> dict[str, Rows]:
    """The rows of the CSV that the shipped tables were made from, by precision.

    Raises:
        UsageError: It is not in the folder.
    """
    file = folder / FILE
    if not file.is_file():
        raise UsageError(f"there is no {file}; give the folder of the measurements: --data DIR")
    found: dict[str, Rows] = {label: {} for label in (*PRECISIONS, BOTH_CAMPAIGNS)}
    for row in read_csv(file):
        batch, spec = int(row["batch"]), spec_of(row)
        for label in found:
            cell = row[f"{label[:4]}_ms"]
            if cell and not (label == "fp16" and second_campaign(row)):
                found[label].setdefault(batch, {})[spec] = float(cell)
    return found


def predictions(
    batch: int, known: Mapping[OperatorSpec, float], asked: Sequence[OperatorSpec]
) -> list[Vector]:
    """Latencies in ms of the asked convolutions, by each predictor."""
    rows = {spec: Row(ms) for spec, ms in known.items()}
    table = replace(_shipped_table(), batch=batch, rows=rows)
    roofline = fit_roofline(
        [Sample([spec], ms) for spec, ms in known.items()], table.alignment, batch
    ).roofline
    known_ms = np.array(list(known.values()))
    slope, offset = np.polyfit([spec.macs for spec in known], known_ms, 1, w=1 / known_ms)
    return [
        np.array([answer.ms for answer in table.lookup_many(asked)]),
        roofline.price(asked)[0],
        np.maximum(offset + slope * np.array([spec.macs for spec in asked]), known_ms.min()),
    ]


@cache
def _shipped_table() -> LatencyTable:
    """Lends its description of the device."""
    return load_shipped(DEVICE)


def point(rows: Rows, share: float, seed: int, most: int) -> dict[str, Any]:
    """Errors on the rows that were not kept, all batches together; at most `most` of each batch are asked."""
    measured: list[Vector] = []
    predicted: dict[str, list[Vector]] = {name: [] for name in PREDICTORS}
    kept = 0
    for batch, latencies_ms in sorted(rows.items()):
        specs = list(latencies_ms)
        order = np.random.default_rng(seed).permutation(len(specs))
        split = round(share * len(specs))
        known = {specs[index]: latencies_ms[specs[index]] for index in order[:split]}
        asked = [specs[index] for index in order[split : split + most]]
        for name, values in zip(PREDICTORS, predictions(batch, known, asked), strict=True):
            predicted[name].append(values)
        measured.append(np.array([latencies_ms[spec] for spec in asked]))
        kept += split
    measured_ms = np.concatenate(measured)
    return {
        "rows": kept,
        "predicted": len(measured_ms),
        **{name: accuracy(np.concatenate(predicted[name]), measured_ms) for name in PREDICTORS},
    }


def rows_of(precision: str, share: float, results: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Lines of the printed table: one a predictor, means over the seeds."""

    def mean(name: str, key: str) -> float:
        return float(np.mean([result[name][key] for result in results]))

    return [
        [
            precision,
            percent(share, 0),
            str(results[0]["rows"]),
            str(results[0]["predicted"]),
            name,
            percent(mean(name, "median_error")),
            percent(mean(name, "mean_error")),
            percent(mean(name, "within_10"), 0),
            f"{mean(name, 'kendall_tau'):.3f}",
        ]
        for name in PREDICTORS
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help=f"folder with {FILE} (default: the shipped rows)"
    )
    parser.add_argument(
        "--shares", type=common.texts, default=["5%", "1%"], metavar="S", help="default: 5%%,1%%"
    )
    parser.add_argument("--seeds", type=common.numbers, default=[0, 1, 2], metavar="N", help="default: 0,1,2")
    parser.add_argument(
        "--most",
        type=int,
        default=10**6,
        metavar="N",
        help="predict at most N rows of each batch (default: all)",
    )
    return parser.parse_args()


def main() -> None:
    """Predicts every precision from every share and prints the errors."""
    options = arguments()
    folder = options.data or (Path(os.environ["HWTICKETS_DATA"]) if "HWTICKETS_DATA" in os.environ else None)
    rows = source_rows(folder) if folder else shipped_rows()
    points = Points("convolutions", options.output, {"most": options.most})
    results, lines = [], []
    for precision, by_batch in rows.items():
        for share in (float(text.removesuffix("%")) / 100 for text in options.shares):
            found = []
            for seed in options.seeds:
                key = {"precision": precision, "share": share, "seed": seed}
                found.append(points.once(key, partial(point, by_batch, share, seed, options.most)))
                results.append({**key, **found[-1]})
            lines += rows_of(precision, share, found)
    columns = (
        "precision",
        "kept",
        "rows",
        "predicted",
        "by",
        "median error",
        "mean error",
        "within 10 %",
        "tau",
    )
    title = f"V100 convolutions predicted from a part of the rows; means over seeds {options.seeds}"
    common.show({"points": results}, [Table(title, columns, lines)], options.json)


if __name__ == "__main__":
    common.run(main)
