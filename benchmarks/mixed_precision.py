"""What a choice of precision for each block is worth: latency and loss of one ticket over latency budgets.

All parts are measured in fp32 and in int8, with the prices of conversions. For each budget, a share of the
latency in fp32, the mix of least loss is chosen and timed next to fp32, without the correction by what was
measured before that `hwtickets export --precision mixed` does. Scores are those on validation images.

With `--run` instead: what it is worth to draw the precisions with the widths. For each budget two
tickets are drawn from a copy of one trained run, each with the recipe of the run: in fp32, and mixed for the
share of the dense latency that the one in fp32 was measured at. Both deployed networks are timed next to each
other, and scored on test images in ONNX Runtime.

python -m benchmarks.mixed_precision --ticket runs/demo/ticket
python -m benchmarks.mixed_precision --run runs/demo --budgets 40%,25%
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, microseconds
from hwtickets import api, files
from hwtickets.deploy.columns import RUNS, MixableNetwork, measured_columns
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.evidence import Evidence, outputs_of
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.parts import parts_of
from hwtickets.deploy.quantization import Quantizer, recipe_for
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import BudgetError
from hwtickets.progress import Progress
from hwtickets.recipes.retrain import task_of
from hwtickets.runs import RunFolder
from hwtickets.runtimes import Bench, paired_ratio
from hwtickets.sparsity.precisions import PrecisionChoice, PrecisionColumns, choose_precisions, fastest_choice
from hwtickets.sparsity.ticket import Ticket, ticket_hash

_TEST_IMAGES = 2000
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


def drawn_pairs(run: Path, budgets: list[str], epochs: float | None, max_drop: float) -> list[dict[str, Any]]:
    """For each budget a ticket in fp32 and a mixed one; a copy of the run gets both."""
    with tempfile.TemporaryDirectory(prefix="hwtickets-") as folder:
        copied = shutil.copytree(run, Path(folder) / "run")
        return [_pair(copied, budget, epochs, max_drop) for budget in budgets]


def _pair(run: Path, budget: str, epochs: float | None, max_drop: float) -> dict[str, Any]:
    def drawn(precision: str, latency: str) -> dict[str, Any]:
        return api.draw(run, {"latency": latency}, epochs, Progress(), precision=precision, max_drop=max_drop)

    exact = drawn("fp32", budget)
    tickets = {"fp32": exact, "mixed": drawn("mixed", f"{100 * exact['ratio']['median']:.1f}%")}
    models = {name: Path(ticket["path"]) / "bundle" / "model.onnx" for name, ticket in tickets.items()}
    task = task_of(Ticket.load(Path(tickets["fp32"]["path"]) / "ticket"))
    images, targets = next(iter(task.test_batches(_TEST_IMAGES)))
    x = images.contiguous().numpy()
    with open_bench(get_device(RunFolder.open(run).config["device"])) as bench:
        timings = bench.time(models, {"x": x[:1]}, RUNS)
    ratio, low, high = paired_ratio(timings["mixed"], timings["fp32"])
    return {
        "budget": budget,
        "kept": {name: ticket["kept"] for name, ticket in tickets.items()},
        "measured_ms": {name: timing.p50_ms for name, timing in timings.items()},
        "ratio": {"median": ratio, "low": low, "high": high},
        "score": {
            name: task.score_outputs(outputs_of(path.read_bytes(), x), targets.numpy())
            for name, path in models.items()
        },
        "images": len(x),
        "of_dense": {name: ticket["ratio"]["median"] for name, ticket in tickets.items()},
        "macs": {name: ticket["macs"] for name, ticket in tickets.items()},
        "precisions": tickets["mixed"]["precisions"],
    }


def table_of_pairs(rows: list[dict[str, Any]]) -> Table:
    """One row a budget."""
    columns = [
        "budget",
        "fp32",
        "mixed",
        "mixed to fp32",
        "fp32 MACs",
        "mixed MACs",
        "fp32 score",
        "mixed score",
        "parts in int8",
        "kept",
    ]
    cells = [
        [
            row["budget"],
            microseconds(row["measured_ms"]["fp32"]),
            microseconds(row["measured_ms"]["mixed"]),
            common.ratio_text(row["ratio"]),
            *(f"{row['macs'][name] / 1e6:.1f} M" for name in ("fp32", "mixed")),
            f"{row['score']['fp32']:.2f}",
            f"{row['score']['mixed']:.2f}",
            f"{list(row['precisions'].values()).count('int8')} of {len(row['precisions'])}",
            ", ".join(name for name, kept in row["kept"].items() if kept) or "none",
        ]
        for row in rows
    ]
    return Table(
        "Tickets of one run, drawn in fp32 and mixed, deployed; scores on test images", columns, cells
    )


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
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--ticket", type=Path, metavar="FOLDER", help="folder of the ticket")
    what.add_argument("--run", type=Path, metavar="FOLDER", help="a finished search to draw from")
    parser.add_argument("--device", default="cpu", help="where the ticket is measured (default: cpu)")
    parser.add_argument("--budgets", type=common.texts, default=["40%", "25%"], help="of --run (40%%,25%%)")
    parser.add_argument("--epochs", type=float, help="of finetuning (default: as many as the search had)")
    parser.add_argument("--max-drop", type=float, default=0.5, help="points that precisions may cost (0.5)")
    return parser.parse_args()


def main() -> None:
    """Measures every mix and prints it."""
    options = arguments()
    if options.run:
        settings = {"run": files.read_json(options.run / "ticket" / "ticket.json", "ticket")["hash"]}
        points = Points("mixed_draw", options.output, settings)
        asked = {"budgets": options.budgets, "epochs": options.epochs, "max_drop": options.max_drop}
        pairs = points.once(asked, lambda: {"rows": drawn_pairs(options.run, **asked)})
        common.show(pairs, [table_of_pairs(pairs["rows"])], options.json)
        return
    ticket = Ticket.load(options.ticket)
    points = Points("mixed_precision", options.output, {"ticket": ticket_hash(options.ticket)})
    result = points.once({"device": options.device}, lambda: {"rows": sweep(ticket, options.device)})
    common.show(result, [table_of(result["rows"])], options.json)


if __name__ == "__main__":
    common.run(main)
