"""Transfer: a ticket of one task taken to another, against a ticket searched there and against new weights.

For every seed: a search on the source; its ticket transferred to the target, once with all weights trained
and once with the trunk frozen; the same architecture and masks on the target with new random weights; the
dense network of the target; and a search on the target for the share of the dense latency that the
transferred ticket takes there. All are trained on the target for as many epochs, and none has a teacher. In
the end all networks of the target are timed side by side.

python -m benchmarks.transfer --config configs/hrnas-tiny.yaml --source classification=cifar10:DIR
    --target segmentation=camvid:DIR --latency 50% --output results/transfer.jsonl
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from benchmarks import common
from benchmarks.common import Points, Table, grouped, mean_and_spread, percent
from benchmarks.searches import Searches, side_by_side
from hwtickets import api
from hwtickets.config import SearchConfig
from hwtickets.errors import BudgetError, UsageError
from hwtickets.progress import Progress
from hwtickets.search.job import Job
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks import task_class
from hwtickets.tasks.task import suited_to

#: Keys of both searches: a transfer has no teacher, so that nothing has.
_UNTAUGHT: dict[str, Any] = {"price": "latency", "recipe": "finetune", "teacher": None}


class Seed:
    """Everything of one seed.

    Args:
        source: The search on the source, its seed set.
        target: The search on the target.
        latency: Budget of the source's ticket.
        runs: Gets the run folders.
        points: Finished points.
    """

    def __init__(
        self, source: SearchConfig, target: SearchConfig, latency: str, runs: Path, points: Points
    ) -> None:
        self._source, self._target, self._latency, self._points = source, target, latency, points
        self._folder = runs / f"seed-{source.seed}"
        self._searches = Searches(target, self._folder / "target", "transfer")

    def networks(self) -> list[dict[str, Any]]:
        """One entry a network of the target; without the search where its budget is infeasible."""
        source = Path(self._once("source", self._search_source)["bundle"]).with_name("ticket")
        dense = self._entry("dense", self._searches.dense)
        moved = self._entry("transferred", partial(self._transferred, source, "architecture"))
        frozen = self._entry("transferred, trunk frozen", partial(self._transferred, source, "trunk"))
        architecture = Path(moved["bundle"]).with_name("architecture")
        fresh = self._entry("new weights", partial(self._scratch, architecture))
        bundles = {network["method"]: Path(network["bundle"]) for network in (dense, moved)}
        searched = self._entry("searched on the target", partial(self._searched, bundles))
        known = [one for one in (dense, moved, frozen, fresh, searched) if "bundle" in one]
        bundles = {network["method"]: Path(network["bundle"]) for network in known}
        times = self._once("side by side", partial(side_by_side, bundles, self._target.device))
        return [{**network, "measured": times[network["method"]]} for network in known]

    def _entry(self, method: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return {"seed": self._source.seed, "method": method, **self._once(method, measure)}

    def _once(self, method: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        return self._points.once({"seed": self._source.seed, "method": method}, measure)

    def _search_source(self) -> dict[str, Any]:
        searches = Searches(self._source, self._folder / "source", "transfer")
        found = searches.search("search", {"latency": self._latency}, **_UNTAUGHT)
        if not found:
            raise BudgetError(f"latency {self._latency} is infeasible on the source; ask for more")
        return _found(found)

    def _transferred(self, ticket: Path, freeze: str) -> dict[str, Any]:
        target, folder = self._target, self._folder / "target" / freeze
        height, width = self._job.task.input_shape[1:]
        result = api.transfer(
            ticket,
            target.task,
            target.data,
            freeze,
            target.epochs,
            folder,
            Progress(),
            f"{height}x{width}",
            target.batch_size,
            target.seed,
        )
        return self._scored(folder, result["steps"])

    def _scratch(self, ticket: Path) -> dict[str, Any]:
        folder = self._folder / "target" / "scratch"
        result = api.retrain(ticket, "scratch", self._target.epochs, folder, Progress())
        return self._scored(folder, result["steps"])

    def _scored(self, ticket: Path, steps: int) -> dict[str, Any]:
        bundle = api.export(ticket, "onnx", ticket.with_name(f"{ticket.name}-bundle"), Progress())
        module = Ticket.load(ticket).module()
        return {"test": self._job.task.score(module, "test"), "steps": steps, "bundle": str(bundle)}

    def _searched(self, bundles: Mapping[str, Path]) -> dict[str, Any]:
        """A search on the target for the share of the dense latency that the transferred ticket takes."""
        share = side_by_side(bundles, self._target.device)["transferred"]["median"]
        found = self._searches.search("search", {"latency": f"{100 * share:.2f}%"}, **_UNTAUGHT)
        return {**_found(found), "steps": self._job.plan.total} if found else {}

    @cached_property
    def _job(self) -> Job:
        return Job.prepare(self._target, Progress(quiet=True))


def _found(entries: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    entry = entries["latency"]
    return {key: entry[key] for key in ("test", "bundle", "kept")}


def summarise(networks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each method: lists over the seeds, in order."""
    return [
        {
            "method": method,
            "test": [one["test"] for one in own],
            "share": [one["measured"]["median"] for one in own],
            "p50_ms": [one["measured"]["p50_ms"] for one in own],
            "steps": own[0]["steps"],
        }
        for (method,), own in grouped(networks, "method").items()
    ]


def row_of(entry: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        entry["method"],
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        f"{statistics.fmean(entry['p50_ms']):.4g}",
        percent(statistics.fmean(entry["share"])),
        str(entry["steps"]),
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.search_parser(__doc__, "transfer")
    parser.add_argument("--source", type=_part, required=True, metavar="TASK=DATA", help="what is searched")
    parser.add_argument("--target", type=_part, required=True, metavar="TASK=DATA", help="what comes after")
    parser.add_argument("--latency", default="50%", metavar="BUDGET", help="of the source (default: 50%%)")
    parser.add_argument("--resolution", metavar="HxW", help="of the target's images (default: the data's)")
    parser.add_argument("--target-batch", type=int, metavar="N", help="images a step on the target")
    parser.add_argument(
        "--target-epochs", type=float, metavar="E", help="--epochs on the target (default: the config's)"
    )
    return parser.parse_args()


def _part(text: str) -> dict[str, str]:
    task, found, data = text.partition("=")
    if not found:
        raise UsageError(f"'{text}' is not TASK=DATA; write it as segmentation=camvid:DIR")
    return {"task": task, "data": data}


def main() -> None:
    """Searches, transfers and prints the comparison."""
    options = arguments()
    file = options.config
    source = common.search_config(file, **options.source, epochs=options.epochs)
    # As the transferred ticket is trained, so is everything on the target.
    other = options.target["task"] != options.source["task"]
    target = common.search_config(
        file,
        **(suited_to(task_class(options.target["task"])) if other else {}),
        **options.target,
        epochs=options.target_epochs,
        batch_size=options.target_batch,
        resolution=options.resolution,
    )
    settings = {"source": source.model_dump(mode="json"), "target": target.model_dump(mode="json")}
    points = Points("transfer", options.output, {**settings, "latency": options.latency})
    networks: list[dict[str, Any]] = []
    for seed in options.seeds:
        seeded = {"seed": seed}
        searches = source.model_copy(update=seeded), target.model_copy(update=seeded)
        networks += Seed(*searches, options.latency, options.runs, points).networks()
    entries = summarise(networks)
    columns = ("method", "seeds", "test score", "latency ms", "share of dense", "steps on the target")
    title = f"From {source.task} on {source.data} to {target.task} on {target.data}; mean ± spread over seeds"
    common.show(
        {"networks": networks, "summary": entries},
        [Table(title, columns, list(map(row_of, entries)))],
        options.json,
    )


if __name__ == "__main__":
    common.run(main)
