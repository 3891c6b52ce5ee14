"""Measuring many networks: in small interleaved batches next to a large and a small one, resumable."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.devices.several import REFERENCE
from hwtickets.files import append_jsonl, read_jsonl
from hwtickets.progress import Stage
from hwtickets.runtimes import Bench
from hwtickets.runtimes.profiling import original_name
from hwtickets.runtimes.timing import median_ratio
from hwtickets.space.operators import OperatorGraph, OperatorSpec
from hwtickets.tables.observations import Profiled
from hwtickets.tables.skeleton import random_inputs
from hwtickets.tables.skeleton_precision import as_timed, timed_model

#: Networks that one board times side by side.
BATCH = 10
#: Runs of each of them.
RUNS = 100
WARMUP_RUNS = 10
#: A batch of slow networks gets fewer runs.
SECONDS_A_BATCH = 3.0
_PROFILE_RUNS = 80
#: Operators that ONNX Runtime makes of a sum and a norm, and names after neither.
_FUSED = ("SkipLayerNormalization", "SkipSimplifiedLayerNormalization")


class Journal:
    """Measurements on disk, so that a killed build goes on where it was.

    Args:
        path: The file; it starts over if it belongs to another plan.
        plan: What is measured; measurements of equal plans are interchangeable.

    Attributes:
        dropped: Where it starts over, how the plan of before differed; else empty.
    """

    def __init__(self, path: Path, plan: Mapping[str, object]) -> None:
        self._path = path
        records = read_jsonl(path, "unfinished latency table")
        known = records[0].get("plan") if records else None
        self.dropped = _differences(known, plan) if records and known != plan else ""
        if known != plan:
            path.unlink(missing_ok=True)
            append_jsonl(path, {"plan": dict(plan)})
            records = []
        self._records = {(record["kind"], record["index"]): record for record in records[1:]}

    def get(self, kind: str, index: int) -> dict[str, Any] | None:
        """A record of an earlier process or of this one."""
        return self._records.get((kind, index))

    def put(self, kind: str, index: int, **values: object) -> dict[str, Any]:
        """Keeps a record."""
        record = {"kind": kind, "index": index, **values}
        append_jsonl(self._path, record)
        self._records[(kind, index)] = record
        return record

    def count(self, *kinds: str) -> int:
        """How many records of some kinds there are."""
        return sum(kind in kinds for kind, _ in self._records)

    def all(self, kind: str) -> list[dict[str, Any]]:
        """All records of a kind, the earliest first."""
        return [record for (own, _), record in self._records.items() if own == kind]

    def close(self) -> None:
        """Removes the file: the table is finished."""
        self._path.unlink(missing_ok=True)


def _differences(one: object, other: Mapping[str, object]) -> str:
    known = one if isinstance(one, Mapping) else {}
    changed = [key for key in {**known, **other} if known.get(key) != other.get(key)]
    return ", ".join(changed).replace("_", " ")


class Latencies:
    """Latencies of networks in the order in which they were given.

    Attributes:
        median_ms: (networks,) medians, freed of the machine's changes of speed.
        reference_ms: Median of the first reference that ran beside them.
        runs: Timed runs of each network.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]]) -> None:
        median_ms = np.array([record["median_ms"] for record in records])
        references_ms = np.array([record["references_ms"] for record in records])
        ratios = np.array([record["ratios"] for record in records])
        self.reference_ms = float(np.median(references_ms[:, 0]))
        self.median_ms: NDArray[np.float64] = _at_usual_speed(median_ms, ratios, references_ms)
        self.runs: list[int] = [int(record["runs"]) for record in records]


def _at_usual_speed(
    median_ms: NDArray[np.float64], ratios: NDArray[np.float64], references_ms: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Each latency as it is at the machine's usual speed.

    The references ran in every batch, in turns with the others: what a network takes is so many times what
    they took in the same turns, whatever the machine was busy with then. What fills a shared cache is slowed
    down by others more than what does not, so a network lies between its multiples of the references as its
    latency lies between theirs.

    Args:
        median_ms: (networks,).
        ratios: (networks, references), medians over the turns.
        references_ms: (networks, references), of its batch.
    """
    found = np.log(ratios) + np.log(np.median(references_ms, axis=0))
    latencies = []
    for latency, beside, spell in zip(np.log(median_ms), found, np.log(references_ms), strict=True):
        order = np.argsort(spell)
        latencies.append(np.exp(np.interp(latency, spell[order], beside[order])))
    return np.array(latencies)


def measure_networks(
    graphs: Sequence[OperatorGraph],
    references: Sequence[OperatorGraph],
    bench: Bench,
    journal: Journal,
    stage: Stage,
    first: int = 0,
    write: Callable[[int], bytes] | None = None,
) -> Latencies:
    """Times whole networks.

    Args:
        graphs: The networks, all with one input shape.
        references: Networks that are timed along with every batch; see `reference_networks`.
        bench: Where to measure.
        journal: Holds what is already measured and receives the rest.
        stage: Is advanced by one a network.
        first: Number of the first network in the journal; the others follow.
        write: Gives the model to be timed by its network's place in `graphs`; by default its operators alone.
    """
    numbered = dict(enumerate(graphs, first))
    model = _written(write, first, bench) if write else _skeletons(numbered, bench)
    size = BATCH * bench.boards
    # The first one ties several boards together; the others are timed by one of them.
    beside = {f"{REFERENCE} {place}" if place else REFERENCE: graph for place, graph in enumerate(references)}
    for begin in range(first, first + len(graphs), size):
        batch = [
            index
            for index in range(begin, min(begin + size, first + len(graphs)))
            if journal.get("network", index) is None
        ]
        if not batch:
            continue
        models = {str(index): model(index) for index in batch}
        models |= {name: timed_model(graph, bench.fingerprint) for name, graph in beside.items()}
        timings = bench.time(models, random_inputs(references[0]), RUNS, WARMUP_RUNS, SECONDS_A_BATCH)
        for index in batch:
            timing = timings[str(index)]
            journal.put(
                "network",
                index,
                median_ms=timing.p50_ms,
                p10_ms=timing.p10_ms,
                p90_ms=timing.p90_ms,
                references_ms=[timings[name].p50_ms for name in beside],
                ratios=[median_ratio(timing, timings[name]) for name in beside],
                runs=timing.runs,
                discarded_runs=timing.discarded,
                clocks_mhz=[dict(clocks) for clocks in timing.clocks_mhz],
            )
            stage.advance()
    return measured(journal, numbered)


def _skeletons(numbered: Mapping[int, OperatorGraph], bench: Bench) -> Callable[[int], bytes]:
    return lambda index: timed_model(numbered[index], bench.fingerprint, seed=index)


def _written(write: Callable[[int], bytes], first: int, bench: Bench) -> Callable[[int], bytes]:
    return lambda index: as_timed(write(index - first), bench.fingerprint)


def measured(journal: Journal, numbers: Iterable[int]) -> Latencies:
    """Latencies of networks that were measured, by their numbers in the journal."""
    records = [journal.get("network", number) for number in numbers]
    return Latencies([record for record in records if record is not None])


def profile_networks(
    graphs: Sequence[OperatorGraph], bench: Bench, journal: Journal, stage: Stage
) -> dict[OperatorSpec, Profiled]:
    """Profiles networks inside the runtime; see `measure_networks` for the arguments.

    Returns:
        Median over the networks, by operator.
    """
    times_ms: dict[OperatorSpec, list[float]] = defaultdict(list)
    nodes: dict[OperatorSpec, list[int]] = defaultdict(list)
    for index, graph in enumerate(graphs):
        record = journal.get("profile", index)
        if record is None:
            model = timed_model(graph, bench.fingerprint, seed=index)
            found = bench.node_times(model, random_inputs(graph), _PROFILE_RUNS)
            shares = operator_times(graph, {name: node.mean_ms for name, node in found.items()})
            record = journal.put("profile", index, times=shares)
            stage.advance()
        for operator in graph:
            time_ms, count = record["times"].get(operator.name, (0.0, 0))
            if count:
                times_ms[operator.spec].append(time_ms)
                nodes[operator.spec].append(count)
    return {
        spec: Profiled(float(np.median(values)), float(np.mean(nodes[spec])))
        for spec, values in times_ms.items()
    }


def operator_times(graph: OperatorGraph, times_ms: Mapping[str, float]) -> dict[str, tuple[float, int]]:
    """Adds up the times of a network's nodes by operator.

    A node that the runtime put in on its own (a change of the memory layout) belongs to the operator after
    it, the last ones to the last operator, so that the sum stays the same. What it made of several operators
    and named after none of them belongs to the first of those that are gone.

    Args:
        graph: The network.
        times_ms: Time by node name, in order of execution.

    Returns:
        Time in ms and number of nodes, by operator name.
    """
    names = [operator.name for operator in graph]
    owners = {node: _owner(original_name(node), set(names)) for node in times_ms}
    gone = [name for name in names if name not in owners.values()]
    found: dict[str, tuple[float, int]] = {}
    waiting, begin = (0.0, 0), 0
    for node, time_ms in times_ms.items():
        waiting = (waiting[0] + time_ms, waiting[1] + 1)
        owner = owners[node]
        if not owner and node.startswith(_FUSED):
            owner = next((name for name in gone if names.index(name) >= begin), "")
        if owner:
            found[owner] = _sum(found.get(owner), waiting)
            waiting, begin = (0.0, 0), names.index(owner) + 1
    if waiting[1]:
        found[names[-1]] = _sum(found.get(names[-1]), waiting)
    return found


def _owner(node: str, names: Set[str]) -> str:
    """The operator that a node is named after; "" if there is none."""
    while node and node not in names:
        node = node.rpartition("/")[0]
    return node


def _sum(one: tuple[float, int] | None, other: tuple[float, int]) -> tuple[float, int]:
    return other if one is None else (one[0] + other[0], one[1] + other[1])
