"""The tables of a report as CSV files: plain numbers, one row a thing, the same columns for every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hwtickets.report.csv_files import write_csv
from hwtickets.report.networks import Network, list_networks, of_run
from hwtickets.report.schema import Document

Row = Sequence[object]

_WHERE = ("run", "created", "device", "runtime", "precision", "network")
_LATENCY = ("p10", "p50", "p90", "p99", "runs")


def write_tables(document: Document, folder: Path) -> list[Path]:
    """Writes every table that has rows as NAME.csv; tables of earlier reports are replaced.

    Args:
        document: One or several runs.
        folder: Where to write.

    Returns:
        The files.
    """
    networks = [network for run in document.runs for network in of_run(list_networks(document), run)]
    written = []
    for name, (titles, rows_of) in _TABLES.items():
        rows = [[*_where(network), *row] for network in networks for row in rows_of(network)]
        if rows:
            written.append(write_csv(folder / f"{name}.csv", [*_WHERE, *titles], rows))
    return written


def _where(network: Network) -> Row:
    run = network.run
    return run.title, run.created, run.device.name, run.device.runtime, run.device.precision, network.name


def _networks(network: Network) -> Iterator[Row]:
    source, ticket, latency, ratio = network.source, network.ticket, network.source.latency_ms, network.share
    check = ticket.verify if ticket else None
    yield (
        network.role,
        ticket.price if ticket else None,
        ticket.budget_text if ticket else None,
        *(getattr(latency, key) if latency else None for key in _LATENCY),
        source.predicted_ms,
        source.predicted_error_ms,
        *(getattr(ratio, key) if ratio else None for key in ("median", "low", "high")),
        *(getattr(source.accuracy, key) for key in ("validation", "test", "before_finetune")),
        network.run.task.metric_unit,
        source.macs,
        source.params,
        source.size_bytes,
        ticket.compressed_bytes if ticket else None,
        ticket.sparsity if ticket else None,
        check.max_abs_error if check else None,
        check.max_rel_error if check else None,
    )


def _figures(network: Network) -> Iterator[Row]:
    """All figures of the test score, of a task that has several."""
    for name, value in network.source.accuracy.test_figures.items():
        yield name, value, network.run.task.metric_unit


def _blocks(network: Network) -> Iterator[Row]:
    yield from ((block.name, block.ms) for block in network.source.blocks)


def _draws(network: Network) -> Iterator[Row]:
    for draw in network.ticket.draws if network.ticket else []:
        yield draw.index, draw.predicted_ms, draw.measured_ms, draw.limit_ms, draw.accepted


def _units(network: Network) -> Iterator[Row]:
    for unit in network.ticket.units if network.ticket else []:
        yield unit.name, unit.block, unit.kernel, unit.kept, unit.total


def _budgets(network: Network) -> Iterator[Row]:
    """Those of the run, once: they belong to its own ticket."""
    if network.role == "dense":
        for budget in network.run.budgets:
            yield budget.metric, budget.text, budget.limit, budget.value, budget.unit, budget.kept


def _deployed(network: Network) -> Iterator[Row]:
    if network.role != "dense":
        return
    for found in network.run.deployments:
        ratio = found.ratio
        yield (
            found.name,
            found.device,
            found.runtime,
            found.precision,
            *(getattr(found.latency_ms, key) for key in _LATENCY),
            *(getattr(ratio, key) if ratio else None for key in ("median", "low", "high")),
            found.throughput_per_s,
            found.score,
            found.unscored,
            found.score_of_pytorch,
            found.images,
            found.energy_mj,
            found.peak_bytes,
            found.size_bytes,
        )


_PERCENTILES = ("p10_ms", "p50_ms", "p90_ms", "p99_ms", "timed_runs")
_OF_DENSE = ("of_dense", "of_dense_low", "of_dense_high")
_TABLES: dict[str, tuple[tuple[str, ...], Callable[[Network], Iterator[Row]]]] = {
    "networks": (
        (
            *("role", "price", "budget", *_PERCENTILES, "predicted_ms", "predicted_error_ms", *_OF_DENSE),
            *("validation", "test", "before_finetune", "metric_unit", "macs", "params", "size_bytes"),
            *("compressed_bytes", "sparsity", "max_abs_error", "max_rel_error"),
        ),
        _networks,
    ),
    "figures": (("figure", "test", "unit"), _figures),
    "blocks": (("block", "time_ms"), _blocks),
    "draws": (("draw", "predicted_ms", "measured_ms", "limit_ms", "accepted"), _draws),
    "units": (("unit", "block", "kernel", "kept", "total"), _units),
    "budgets": (("metric", "budget", "limit", "reached", "unit", "kept"), _budgets),
    "deployed": (
        (
            *("deployed", "on_device", "in_runtime", "in_precision", *_PERCENTILES, *_OF_DENSE),
            *("throughput_per_s", "score", "unscored", "score_of_pytorch", "images", "energy_mj"),
            *("peak_bytes", "size_bytes"),
        ),
        _deployed,
    ),
}
