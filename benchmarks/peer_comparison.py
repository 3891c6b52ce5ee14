"""One network of one seed: trained, brought to every budget by every method, timed beside the dense one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from benchmarks.bisection import MOST_TRIES, Try, best_try, bisect
from benchmarks.common import Points
from benchmarks.peer_methods import DATA_ALONE, OURS, PEERS, peer_of
from benchmarks.peer_networks import NETWORKS
from benchmarks.peer_pruners import Subject
from benchmarks.peer_training import train
from benchmarks.searches import RUNS, Searches, in_turns
from hwtickets import files
from hwtickets.budgets import parse_budget
from hwtickets.config import SearchConfig
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.devices import get_device
from hwtickets.main_job.delivery import DRAW_RUNS
from hwtickets.main_job.finishing import LAST_STAGE
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.progress import Progress, Stage
from hwtickets.recipes.recipe import STAGE_NAMES
from hwtickets.search.job import Job
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tasks import build_task

#: Stages of a search of ours that train the ticket, and those that peers have nothing like in their times.
_TRAINING, _BESIDES = set(STAGE_NAMES.values()), ("data", "report", *LAST_STAGE.values())


class StageClock(Progress):
    """Progress that keeps the seconds of every stage.

    Attributes:
        seconds: By the name of the stage, in this process.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(
        self, name: str, total: int | None = None, unit: str = "step", done: int = 0
    ) -> Iterator[Stage]:
        """Times the stage besides; see `Progress.stage`."""
        begin_s = time.perf_counter()
        with super().stage(name, total, unit, done) as shown:
            yield shown
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin_s

    def total(self, *names: str) -> float:
        """Seconds of some stages together."""
        return sum(self.seconds.get(name, 0.0) for name in names)


class Comparison:
    """See the module.

    Args:
        network: One of `NETWORKS`.
        config: Data, seed, and how all networks are trained after pruning.
        dense_epochs: Passes over the training data before.
        rate_share: Peak of the learning rate after pruning, as a share of the one before.
        runs: Gets the folders.
        points: Finished points.
    """

    def __init__(
        self,
        network: str,
        config: SearchConfig,
        dense_epochs: float,
        rate_share: float,
        runs: Path,
        points: Points,
    ) -> None:
        self._network, self._points = network, points
        self._folder = runs / network / f"seed-{config.seed}"
        self._task = build_task(config.task, config.task_settings())
        sizes = NETWORKS[network].sizes(self._task.input_shape, self._task.num_outputs)
        values = {**config.model_dump(mode="json"), **NETWORKS[network].training}
        values |= {"supernet": {"name": "module", "sizes": sizes}}
        dense = SearchConfig.model_validate({**values, "epochs": dense_epochs})
        rate = rate_share * values["learning_rate"]
        self._config = SearchConfig.model_validate({**values, "learning_rate": rate})
        self._first = Searches(dense, self._folder, "peers")
        self._then = Searches(self._config, self._folder, "peers")

    @property
    def chance(self) -> float:
        """Score of guessing, in percent."""
        return 100.0 / self._task.num_outputs

    def run(self, budgets: Sequence[str], methods: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Everything, from the file of points as far as it is there.

        Returns:
            `networks`, one entry each; `once`, what every method did before the first budget; `without`,
            methods that found no network for a budget.
        """
        # The table first: its time must not be counted to the dense network.
        table = self._point("table", None, partial(self._seconds_of, self._build_table))
        dense = self._point("dense", None, self._first.dense)
        once = [self._once(method, table["seconds"]) for method in methods]
        found = [self._entry("dense", None, {**_model_of(dense), "tries": 0, "search_seconds": 0.0})]
        for budget in budgets:
            for method in methods:
                measure = partial(self._search if method in OURS else self._prune, method, budget)
                found.append(self._entry(method, budget, self._point(method, budget, measure)))
        without = [one for one in found if "model" not in one]
        return {"networks": self._timed(found), "once": once, "without": without}

    def _point(self, method: str, budget: str | None, measure: Callable[[], Any]) -> dict[str, Any]:
        key = {"network": self._network, "seed": self._config.seed, "method": method, "budget": budget}
        return self._points.once(key, measure)

    def _entry(self, method: str, budget: str | None, found: Mapping[str, Any]) -> dict[str, Any]:
        share = None if budget is None else parse_budget("latency", budget).limit(1.0)
        place = {"network": self._network, "seed": self._config.seed, "method": method, "budget": share}
        return {**place, "ours": method in OURS, **found}

    def _once(self, method: str, table_seconds: float) -> dict[str, Any]:
        """What a method does once for a trained network; for ours, the latency table of the network."""
        if method in OURS:
            return self._entry(method, None, {"seconds": table_seconds})
        peer = peer_of(method)
        prepare = partial(self._seconds_of, lambda: PEERS[peer](self._subject()).prepare())
        return self._entry(method, None, self._point(f"{peer}, once", None, prepare))

    def _seconds_of(self, work: Callable[[], object]) -> dict[str, float]:
        begin_s = time.perf_counter()
        work()
        return {"seconds": time.perf_counter() - begin_s}

    def _build_table(self) -> object:
        return Job.prepare(self._first.config, Progress()).table()

    def _trained(self) -> nn.Module:
        hosted = Ticket.load(self._first.dense_ticket).module()
        assert isinstance(hosted, HostedNetwork)
        return hosted.body

    def _subject(self) -> Subject:
        alignment = self._config.alignment or get_device(self._config.device).alignment
        with files.writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        return Subject(self._trained(), self._task, self._config, alignment, self._folder)

    def _search(self, method: str, budget: str) -> dict[str, Any]:
        """A ticket of hwtickets; empty where the budget is infeasible."""
        weights = self._folder / "trained.safetensors"
        files.write_tensors(weights, dict(self._trained().state_dict()), None)
        clock, name = StageClock(), method.removeprefix("hwtickets, ")
        own = {**OURS[method], "checkpoint": str(weights), "baseline": True, "teacher": None}
        begin_s = time.perf_counter()
        found = self._then.search(
            _plain(f"{name}-{budget}"), {"latency": budget}, clock, **own, max_draws=MOST_TRIES
        )
        if not found:
            return {}
        search_seconds = time.perf_counter() - begin_s - clock.total(*_TRAINING, *_BESIDES)
        ticket = found["latency"]
        return {
            **_model_of(ticket),
            "seconds": search_seconds + clock.total(*_TRAINING),
            "search_seconds": search_seconds,
            "tries": ticket["draws"],
        }

    def _prune(self, method: str, budget: str) -> dict[str, Any]:
        """A network of a peer, trained for the steps that are left; empty where it makes none."""
        name = peer_of(method)
        searched = self._point(f"{name}, tries", budget, partial(self._tries, name, budget))
        tries = [Try(**one) for one in searched["knob"]]
        chosen = best_try(tries, parse_budget("latency", budget).limit(1.0))
        if chosen is None:
            return {}
        begin_s, subject = time.perf_counter(), self._subject()
        peer = PEERS[name](subject)
        body, spent = peer.pruned(chosen.kept), peer.spent_steps
        taught = self._config.recipe == "distill" and not method.endswith(DATA_ALONE)
        teacher = self._first.dense_ticket if taught else None
        train(body, self._task, self._config, spent, subject.plan.total - spent, teacher)
        return {
            "test": self._task.score(body, "test"),
            "validation": self._task.score(body, "validation"),
            "model": str(self._export(body, self._folder / _plain(f"{method}-{budget}") / "model.onnx")),
            "seconds": searched["seconds"] + time.perf_counter() - begin_s,
            "search_seconds": searched["seconds"],
            "tries": len(tries),
        }

    def _tries(self, name: str, budget: str) -> dict[str, Any]:
        """What a peer's networks measured on the way to a budget; both ways of training share them."""
        begin_s, peer = time.perf_counter(), PEERS[name](self._subject())
        path = self._folder / _plain(f"{name}-{budget}") / "try.onnx"

        def share_at(kept: float) -> float:
            models = {"dense": self._dense_model, "try": self._export(peer.pruned(kept), path)}
            return in_turns(models, self._image(), self._config.device, DRAW_RUNS)["try"]["median"]

        tries = bisect(share_at, parse_budget("latency", budget).limit(1.0), self._config.tolerance)
        return {"knob": [vars(one) for one in tries], "seconds": time.perf_counter() - begin_s}

    def _export(self, body: nn.Module, path: Path) -> Path:
        shape = self._task.input_shape
        write_onnx(export_onnx(deployable(HostedNetwork(body, shape), {}), shape), path, {})
        return path

    @property
    def _dense_model(self) -> Path:
        return read_bundle(self._first.dense_ticket.with_name("bundle")).model_path

    def _image(self) -> Any:
        return read_bundle(self._first.dense_ticket.with_name("bundle")).samples.inputs[:1]

    def _timed(self, found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Adds the measured share of the dense latency, each network timed in turns with the dense one."""
        models = {f"{one['method']} {one['budget']}": Path(one["model"]) for one in found if "model" in one}
        shares = self._point("beside the dense network", ", ".join(models), partial(self._shares, models))
        return [
            {**one, "measured": shares[f"{one['method']} {one['budget']}"]} for one in found if "model" in one
        ]

    def _shares(self, models: Mapping[str, Path]) -> dict[str, Any]:
        # A dozen in turns would find the caches cold, which costs the dense network more than the others.
        image, device = self._image(), self._config.device
        pairs = {name: {"dense": self._dense_model, name: model} for name, model in models.items()}
        return {name: in_turns(pair, image, device, RUNS)[name] for name, pair in pairs.items()}


def _model_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of an entry of `Searches`."""
    kept = {name: entry[name] for name in ("test", "validation", "seconds")}
    return {**kept, "model": str(Path(entry["bundle"]) / "model.onnx")}


def _plain(text: str) -> str:
    return text.replace(", ", "-").replace(" ", "-").replace("%", "pc")
