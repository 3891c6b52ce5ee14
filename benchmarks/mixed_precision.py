"""What a choice of precision for each block is worth: latency and loss of one ticket over latency budgets.

All parts are measured in fp32 and in int8, with the prices of conversions. For each budget, a share of the
latency in fp32, the mix of least loss is chosen and timed next to fp32, without the correction by what was
measured before that `hwtickets export --precision mixed` does. Scores are those on validation images.

python -m benchmarks.mixed_precision --ticket runs/demo/ticket
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, microseconds
from hwtickets.deploy.columns import RUNS, MixableNetwork, measured_columns
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.evidence import Evidence
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import BudgetError
from hwtickets.recipes.retrain import task_of
from hwtickets.runtimes import Bench, paired_ratio
from hwtickets.sparsity.precisions import PrecisionChoice, PrecisionColumns, choose_precisions, fastest_choice
from hwtickets.sparsity.ticket import Ticket, ticket_hash

SHARES = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5)


def sweep(ticket: Ticket, device: str) -> list[dict[str, Any]]:
    """All in fp32, all in int8, the fastest mix, and the mix of each budget that seems feasible."""
    architecture, profile = ticket.architecture, get_device(device)
    exact = export_onnx(deployable(ticket.module(), architecture.forms), architecture.input_shape)
    evidence = Evidence(task_of(ticket))
    quantizer = Quantizer(exact, recipe_for(profile.runtime), evidence.calibration)
    network = MixableNetwork(exact, parts_of(exact, architecture.forms), quantizer, list(architecture.forms))
    with open_bench(profile) as bench:
        columns = measured_columns(network, evidence, bench)
        fp32_ms = columns.latency_of(network.only())
        choices = {
            "all in fp32": _choice(columns, network.only()),
            "all in int8": _choice(columns, network.only(*columns.parts)),
            "fastest mix": fastest_choice(columns),
        }
        for share in SHARES:
            try:
                choices[f"{share:.0%}"] = choose_precisions(columns, share * fp32_ms)
            except BudgetError:
                break
        return [
            {"budget": name, **measured(network, choice, evidence, bench)} for name, choice in choices.items()
        ]


def measured(
    network: MixableNetwork, choice: PrecisionChoice, evidence: Evidence, bench: Bench
) -> dict[str, Any]:
    """One mix next to the network in fp32."""
    model = network.mixed(choice.precisions)
    timings = bench.time({"fp32": network.exact, "mix": model}, {"x": evidence.images[:1]}, RUNS)
    ratio, low, high = paired_ratio(timings["mix"], timings["fp32"])
    return {
        "parts_in_int8": [part for part, precision in choice.precisions.items() if precision == "int8"],
        "parts": len(choice.precisions),
        "predicted_ms": choice.latency_ms,
        "measured_ms": timings["mix"].p50_ms,
        "ratio": {"median": ratio, "low": low, "high": high},
        "score": evidence.score(model),
    }


def _choice(columns: PrecisionColumns, chosen: dict[str, str]) -> PrecisionChoice:
    return PrecisionChoice(chosen, columns.latency_of(chosen), 0.0)


def table_of(rows: list[dict[str, Any]]) -> Table:
    """One row a mix."""
    columns = ["budget", "parts in int8", "predicted", "measured", "of fp32", "validation score"]
    cells = [
        [
            row["budget"],
            f"{len(row['parts_in_int8'])} of {row['parts']}",
            microseconds(row["predicted_ms"]),
            microseconds(row["measured_ms"]),
            common.ratio_text(row["ratio"]),
            f"{row['score']:.2f}",
        ]
        for row in rows
    ]
    return Table("Mixes of fp32 and int8, each timed next to fp32", columns, cells)


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("--ticket", type=Path, required=True, metavar="FOLDER", help="folder of the ticket")
    parser.add_argument("--device", default="cpu", help="where it is measured (default: cpu)")
    return parser.parse_args()


def main() -> None:
    """Measures every mix and prints it."""
    options = arguments()
    ticket = Ticket.load(options.ticket)
    points = Points("mixed_precision", options.output, {"ticket": ticket_hash(options.ticket)})
    result = points.once({"device": options.device}, lambda: {"rows": sweep(ticket, options.device)})
    common.show(result, [table_of(result["rows"])], options.json)


if __name__ == "__main__":
    common.run(main)
