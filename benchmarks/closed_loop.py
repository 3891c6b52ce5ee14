"""How the closed loop does: many budgets drawn from one trained run, without finetuning.

Every budget is drawn, exported and measured beside the dense network until the measurement keeps it. The
tickets are left in RUN/draws.

python -m benchmarks.closed_loop runs/accuracy/seed-0/20pc --output results/closed_loop.jsonl
"""

from __future__ import annotations

import argparse
import statistics
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, microseconds, percent
from hwtickets import api
from hwtickets.errors import BudgetError
from hwtickets.files import sha256_of
from hwtickets.progress import Progress
from hwtickets.runs import RunFolder

BUDGETS = ("60%", "50%", "40%", "35%", "30%", "25%", "20%")


def draw(run: Path, budget: str) -> dict[str, Any]:
    """Draws one budget; of an infeasible one only the reason is known."""
    try:
        ticket = api.draw(run, {"latency": budget}, finetune_epochs=0, progress=Progress())
    except BudgetError as error:
        return {"reason": str(error)}
    draws = ticket["draws"]
    chosen = min(draws, key=lambda one: abs(one["predicted_ms"] - ticket["predicted_ms"]))
    return {
        "kept": ticket["kept"],
        "draws": draws,
        "predicted_ms": ticket["predicted_ms"],
        "measured_ms": chosen["measured_ms"],
        "limit_ms": draws[-1]["limit_ms"],
        "first_error": draws[0]["predicted_ms"] / draws[0]["measured_ms"] - 1,
        "ratio": ticket["ratio"],
        "validation": ticket["accuracy"]["validation"],
        "path": ticket["path"],
    }


def row_of(budget: str, point: dict[str, Any]) -> list[str]:
    """A row of the table."""
    if "reason" in point:
        return [budget, *[""] * 6, "infeasible", ""]
    return [
        budget,
        microseconds(point["limit_ms"]),
        microseconds(point["predicted_ms"]),
        microseconds(point["measured_ms"]),
        percent(point["first_error"]),
        str(len(point["draws"])),
        common.ratio_text(point["ratio"]),
        "yes" if point["kept"] else "no",
        f"{point['validation']:.1f} %",
    ]


def summarise(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Draws, budgets kept, and the error of the first prediction over all budgets."""
    drawn = [point for point in points if "draws" in point]
    if not drawn:
        return {"budgets": len(points), "feasible": 0}
    return {
        "budgets": len(points),
        "feasible": len(drawn),
        "kept": sum(point["kept"] for point in drawn),
        "mean_draws": statistics.fmean(len(point["draws"]) for point in drawn),
        "median_first_error": statistics.median(abs(point["first_error"]) for point in drawn),
    }


def sentence(summary: dict[str, Any]) -> str:
    """The summary in words."""
    if not summary["feasible"]:
        return "no budget is feasible"
    return (
        f"{summary['kept']} of {summary['feasible']} feasible budgets kept,"
        f" {summary['mean_draws']:.1f} draws each,"
        f" first prediction off by {percent(summary['median_first_error'])} (median)"
    )


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a finished search")
    shown = ",".join(BUDGETS).replace("%", "%%")
    parser.add_argument("--budgets", type=common.texts, default=list(BUDGETS), help=f"default: {shown}")
    return parser.parse_args()


def main() -> None:
    """Draws every budget and prints how it went."""
    options = arguments()
    config = RunFolder.open(options.run).config
    weights = sha256_of(options.run / "ticket" / "weights.safetensors")
    points = Points("closed_loop", options.output, {"config": config, "weights": weights})
    results = []
    for budget in options.budgets:
        key = {"run": options.run.name, "budget": budget}
        result = points.once(key, partial(draw, options.run, budget))
        results.append({"budget": budget, **result})
    summary = summarise(results)
    columns = (
        "budget",
        "limit",
        "predicted",
        "measured",
        "error of the first",
        "draws",
        "share of dense",
        "kept",
        "validation",
    )
    rows = [row_of(point["budget"], point) for point in results]
    table = Table(f"Drawn from {options.run} without finetuning: {sentence(summary)}", columns, rows)
    common.show({"points": results, "summary": summary}, [table], options.json)


if __name__ == "__main__":
    common.run(main)
