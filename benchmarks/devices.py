"""Many devices from one run: tickets drawn for a device from another's search, against a search made for it.

For every seed: one search for the device of the configuration. From its run, for every other device and
budget: a ticket drawn without training, one with a short finetuning, one with as long a recipe as the search
has; and a search for that device, of as many steps. Where a device cannot be measured on, its latencies are
predicted, and the table says so.

python -m benchmarks.devices --devices jetson-nano,raspberry-pi-4 --output results/devices.jsonl
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, grouped, mean_and_spread
from benchmarks.searches import Searches
from hwtickets import api, files
from hwtickets.budgets import parse_budget
from hwtickets.config import SearchConfig
from hwtickets.devices import get_device
from hwtickets.errors import BudgetError
from hwtickets.progress import Progress
from hwtickets.search.job import Job
from hwtickets.sparsity.ticket import Ticket


class Seed:
    """Everything of one seed.

    Args:
        config: The search for the first device, its seed set.
        runs: Gets the run folders.
        points: Finished points.
        epochs: Of the short finetuning.
    """

    def __init__(self, config: SearchConfig, runs: Path, points: Points, epochs: float) -> None:
        self._config, self._points, self._epochs = config, points, epochs
        self._folder = runs / f"seed-{config.seed}"
        self._searches = Searches(config, self._folder, "devices")

    def networks(self, devices: list[str], budgets: list[str]) -> list[dict[str, Any]]:
        """One entry a ticket: device, budget, method, score, latency."""
        self._once({"method": "dense"}, self._searches.dense)
        run = self._once({"method": "search", "budgets": budgets}, partial(self._run, budgets))
        found = []
        for device, budget in ((device, budget) for device in devices for budget in budgets):
            for method, epochs in (("drawn", 0.0), ("drawn, short", self._epochs), ("drawn, full", None)):
                measure = partial(self._drawn, Path(run["run"]), device, budget, epochs)
                found.append(self._entry(method, device, budget, measure))
            measure = partial(self._searched, device, budget)
            found.append(self._entry("searched for it", device, budget, measure))
        return found

    def _entry(self, method: str, device: str, budget: str, measure: Any) -> dict[str, Any]:
        key = {"method": method, "device": device, "budget": budget}
        return {"seed": self._config.seed, **key, **self._once(key, measure)}

    def _once(self, key: Mapping[str, Any], measure: Any) -> dict[str, Any]:
        return self._points.once({"seed": self._config.seed, "epochs": self._epochs, **key}, measure)

    def _run(self, budgets: list[str]) -> dict[str, Any]:
        """The one search, for the smallest feasible budget: its points lie above all others.

        Raises:
            BudgetError: None is feasible.
        """
        for budget in sorted(budgets, key=lambda text: parse_budget("latency", text).amount):
            name = f"one-run-{budget.replace('%', 'pc')}"
            if self._searches.search(name, {"latency": budget}, price="latency"):
                return {"run": str(self._folder / name)}
        raise BudgetError(f"no budget of {', '.join(budgets)} is feasible on {self._config.device}")

    def _drawn(self, run: Path, device: str, budget: str, epochs: float | None) -> dict[str, Any]:
        try:
            ticket = api.draw(run, {"latency": budget}, epochs, Progress(), device)
        except BudgetError as error:
            return {"reason": str(error)}
        module = Ticket.load(Path(ticket["path"]) / "ticket").module()
        task = Job.prepare(self._config, Progress(quiet=True)).task
        return {**_facts(ticket), "kept": ticket["kept"], "test": task.score(module, "test")}

    def _searched(self, device: str, budget: str) -> dict[str, Any]:
        profile = get_device(device)
        name = f"{profile.name}-{budget.replace('%', 'pc')}"
        updates: dict[str, Any] = {
            "device": profile.name,
            "precision": profile.precisions[0],
            "price": "latency",
        }
        found = self._searches.search(name, {"latency": budget}, **updates)
        if not found:
            return {"reason": "infeasible"}
        report = files.read_json(self._folder / name / "state" / "report.json", "report")
        (ticket,) = report["tickets"]
        return {**_facts(ticket), "kept": found["latency"]["kept"], "test": ticket["accuracy"]["test"]}


def _facts(ticket: Mapping[str, Any]) -> dict[str, Any]:
    ratio, measured = ticket["ratio"], ticket["latency_ms"] is not None
    return {
        "validation": ticket["accuracy"]["validation"],
        "latency_ms": ticket["latency_ms"]["p50"] if measured else ticket["predicted_ms"],
        "share": ratio["median"] if ratio else None,
        "measured": measured,
        "macs": ticket["macs"],
    }


def summarise(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each device, budget and method: lists over the seeds that the budget is feasible for."""
    return [
        {
            "device": device,
            "budget": budget,
            "method": method,
            "measured": all(one["measured"] for one in own if "test" in one),
            "kept": all(one["kept"] for one in own if "test" in one),
            **{key: [one[key] for one in own if "test" in one] for key in ("test", "latency_ms", "macs")},
        }
        for (device, budget, method), own in grouped(networks, "device", "budget", "method").items()
    ]


def row_of(entry: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    if not entry["test"]:
        return [entry["device"], entry["budget"], entry["method"], "0", "infeasible", "", ""]
    known = "measured" if entry["measured"] else "predicted"
    return [
        entry["device"],
        entry["budget"],
        entry["method"] + ("" if entry["kept"] else " (above budget)"),
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        f"{statistics.fmean(entry['latency_ms']):.4g} {known}",
        f"{statistics.fmean(entry['macs']) / 1e6:.3g}",
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.search_parser(__doc__, "devices")
    parser.add_argument(
        "--devices",
        type=common.texts,
        default=["jetson-nano", "raspberry-pi-4"],
        metavar="A,B",
        help="devices that the run was not made for (default: jetson-nano,raspberry-pi-4)",
    )
    parser.add_argument("--budgets", type=common.texts, default=["40%", "25%"], help="default: 40%%,25%%")
    parser.add_argument(
        "--finetune-epochs", type=float, default=1.0, metavar="E", help="of the short finetuning (default: 1)"
    )
    return parser.parse_args()


def main() -> None:
    """Searches, draws and prints the comparison."""
    options = arguments()
    config = common.search_config(options.config, epochs=options.epochs)
    points = Points("devices", options.output, config.model_dump(mode="json"))
    networks: list[dict[str, Any]] = []
    for seed in options.seeds:
        own = config.model_copy(update={"seed": seed})
        made = Seed(own, options.runs, points, options.finetune_epochs)
        networks += made.networks(options.devices, options.budgets)
    entries = summarise(networks)
    columns = ("device", "budget", "method", "seeds", "test score", "latency ms", "MMACs")
    title = (
        f"Tickets from one run for {config.device}, against a search for each device;"
        f" {config.data}, {config.epochs:g} epochs"
    )
    common.show(
        {"networks": networks, "summary": entries},
        [Table(title, columns, list(map(row_of, entries)))],
        options.json,
    )


if __name__ == "__main__":
    common.run(main)
