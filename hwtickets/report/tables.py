"""The report's tables, once for HTML and Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwtickets.report.networks import Network
from hwtickets.report.schema import Run, Ticket, Unit
from hwtickets.report.wording import (
    NOT_MEASURED,
    alike,
    amount,
    budget_text,
    duration,
    interval,
    outcome,
    place,
    plain,
    predicted,
    prediction,
    quality,
    share,
    spaced,
    table_figure,
    table_label,
)


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: What it says.
        note: A smaller second line.
        network: The network whose badge stands before the text.
        fill: Share 0..1 that shades the cell; None without shade.
        link: Where the text leads, relative to the page; "" for nowhere.
    """

    text: str
    note: str = ""
    network: Network | None = None
    fill: float | None = None
    link: str = ""


@dataclass(frozen=True)
class Table:
    """Columns and rows; `rows` may be empty, then nothing is shown."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


def networks_table(networks: Sequence[Network]) -> Table:
    """Every network: latency, quality, costs; where it ran, if that is not the same for all."""
    columns = ("Network", "Latency", "Of dense", "Test", "Validation", "MACs", "Parameters", "Size")
    several = len({place(network.run) for network in networks}) > 1
    return Table(columns, [_network_row(network, several) for network in networks])


def budgets_table(run: Run) -> Table:
    """Each budget with its limit, what was reached, and the outcome."""
    rows = [
        (
            Cell(budget_text(budget)),
            Cell(amount(budget.metric, budget.value), predicted(run) if budget.predicted else ""),
            Cell(outcome(budget)),
        )
        for budget in run.budgets
    ]
    return Table(("Budget (limit)", "Reached", "Outcome"), rows)


def draws_table(networks: Sequence[Network]) -> Table:
    """Every draw: predicted, measured, limit, and whether it was accepted."""
    rows = []
    for network in networks:
        for draw in network.ticket.draws if network.ticket else []:
            figures = (draw.predicted_ms, draw.measured_ms, draw.limit_ms)
            cells = [Cell(amount("latency", value)) for value in figures]
            label = Cell(network.name, f"draw {draw.index}", network)
            rows.append((label, *cells, Cell("accepted" if draw.accepted else "drawn again")))
    return Table(("Draw", "Predicted", "Measured", "Limit", "Outcome"), rows)


def blocks_table(networks: Sequence[Network]) -> Table:
    """Time a block, one column a network; predicted where the run was not measured."""
    timed = [network for network in networks if network.source.blocks]
    rows = [
        (Cell(name), *(Cell(amount("latency", block_time(network, name))) for network in timed))
        for name in block_names(timed)
    ]
    return Table(("Block", *(network.name for network in timed)), rows)


def kept_table(ticket: Ticket) -> Table:
    """Channels kept of all, block by kernel; units of one block and kernel are added up."""
    kernels = sorted({unit.kernel for unit in ticket.units}, key=lambda kernel: (kernel is None, kernel))
    blocks = list(dict.fromkeys(unit.block for unit in ticket.units))
    columns = tuple("other" if kernel is None else f"{kernel}×{kernel}" for kernel in kernels)
    rows = []
    for block in blocks:
        cells = [
            _kept([u for u in ticket.units if u.block == block and u.kernel == kernel]) for kernel in kernels
        ]
        rows.append((Cell(block), *cells))
    return Table(("Block", *columns), rows)


def verify_table(networks: Sequence[Network]) -> Table:
    """The exported networks against PyTorch."""
    rows = []
    for network in networks:
        check = network.ticket.verify if network.ticket else None
        if check is None:
            continue
        errors = [Cell(plain(error)) for error in (check.max_abs_error, check.max_rel_error)]
        rows.append(
            (Cell(network.name, network=network), *errors, Cell(alike(check)), Cell(plain(check.images)))
        )
    return Table(("Exported network", "Largest error", "Relative", "Same decisions", "Images"), rows)


def stages_table(run: Run) -> Table:
    """Wall time of each stage; the shade is its share of the longest."""
    longest = max((stage.seconds for stage in run.stages), default=0.0) or 1.0
    rows = [
        (Cell(stage.name), Cell(duration(stage.seconds), fill=stage.seconds / longest))
        for stage in run.stages
    ]
    return Table(("Stage", "Wall time"), rows)


def accuracy_of_table(run: Run) -> Table:
    """The latency table's rows and its error on networks that it was not fitted on."""
    if run.table is None:
        return Table(("Latency table", ""), [])
    error = {table_label(key): table_figure(key, value) for key, value in run.table.error.items()}
    return facts_table(f"Latency table {run.table.name}", {"rows": run.table.rows, **error})


def device_table(title: str, run: Run) -> Table:
    """What the device was, and what is known of its energies."""
    energy = {} if run.device.energy is None else {"energy": run.device.energy}
    return facts_table(title, {**run.device.fingerprint, **energy})


def facts_table(title: str, facts: Mapping[str, Any]) -> Table:
    """An open record: versions, fingerprint."""
    rows = [(Cell(key.replace("_", " ")), Cell(plain(value))) for key, value in facts.items()]
    return Table((title, ""), rows)


def block_names(networks: Sequence[Network]) -> list[str]:
    """The blocks of all networks, in the order of the first that has them."""
    return list(dict.fromkeys(block.name for network in networks for block in network.source.blocks))


def block_time(network: Network, name: str) -> float | None:
    """Time in ms; 0 for a block that a ticket dropped altogether, None where the network was not profiled."""
    blocks = network.source.blocks
    times = [block.ms for block in blocks if block.name == name]
    if not times:
        return 0.0 if blocks else None
    return times[0]


def _network_row(network: Network, several: bool) -> tuple[Cell, ...]:
    source, task = network.source, network.run.task
    before = source.accuracy.before_finetune
    return (
        Cell(network.name, _origin(network, several), network),
        _latency_cell(network),
        _share_cell(network),
        Cell(quality(task, source.accuracy.test), _beside_test(network)),
        Cell(
            quality(task, source.accuracy.validation),
            "" if before is None else f"{before:.2f} before finetune",
        ),
        Cell(amount("macs", source.macs).removesuffix(" MACs")),
        Cell(amount("params", source.params).removesuffix(" parameters")),
        Cell(amount("size", source.size_bytes), _compressed(network.ticket)),
    )


def _beside_test(network: Network) -> str:
    """The difference to the dense network, and what is found together with the score."""
    found, dense = network.source.accuracy, network.run.dense.accuracy.test
    parts = [f"{name} {value:.2f}" for name, value in list(found.test_figures.items())[1:]]
    if network.role != "dense" and found.test is not None and dense is not None:
        parts.insert(0, f"{found.test - dense:+.2f} points".replace("-", "−"))
    return ", ".join(parts)


def _origin(network: Network, several: bool) -> str:
    """What it was drawn for, and where it ran if the page shows several places."""
    ticket = network.ticket
    price = "latency" if ticket and ticket.price == "latency" else "MACs"
    parts = (
        f"priced by {price}" if ticket else "",
        f"≤ {spaced(ticket.budget_text)}" if ticket and ticket.budget_text else "",
        place(network.run) if several else "",
    )
    return ", ".join(part for part in parts if part)


def _latency_cell(network: Network) -> Cell:
    latency = network.source.latency_ms
    if latency is not None:
        return Cell(amount("latency", latency.p50), interval(latency.p10, latency.p90))
    if network.latency_ms is None:
        return Cell(NOT_MEASURED)
    return Cell(NOT_MEASURED, f"predicted {prediction(network)}")


def _share_cell(network: Network) -> Cell:
    ratio, predicted_share = network.share, network.predicted_share
    if ratio is None:
        return Cell(share(None), "" if predicted_share is None else f"predicted {predicted_share:.3f} ×")
    return Cell(share(ratio), interval(ratio.low, ratio.high))


def _compressed(ticket: Ticket | None) -> str:
    if ticket is None or not ticket.sparsity:
        return ""
    stored = (
        f", {amount('size', ticket.compressed_bytes)} packed" if ticket.compressed_bytes is not None else ""
    )
    pattern = f" ({ticket.pattern})" if ticket.pattern else ""
    return f"{100 * ticket.sparsity:.0f} % zeros{pattern}{stored}"


def _kept(units: Sequence[Unit]) -> Cell:
    if not units:
        return Cell("–")
    kept, total = sum(unit.kept for unit in units), sum(unit.total for unit in units)
    return Cell(f"{kept}/{total}", fill=kept / total)
