"""The networks of a report as every view shows them: one badge, colour and marker each, on all charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from hwtickets.report.schema import Dense, Document, Run, Ticket
from hwtickets.report.schema_parts import Ratio

Role = Literal["dense", "ticket", "comparison"]
SYMBOLS: dict[Role, str] = {"dense": "square", "ticket": "circle", "comparison": "diamond"}
# Blues against ambers stay apart for the common kinds of colour blindness; the marker's form tells the rest.
_DENSE = "#64748b"
_TICKETS = ("#2563eb", "#0f766e", "#7c3aed", "#0369a1")
_COMPARISONS = ("#c2570c", "#be185d", "#92700c")
# On the narrowest page a label such as "≤ 40 %" takes about this share of the axis.
_LABEL_SHARE = 0.15
_RUNS = ("#2563eb", "#c2570c", "#0f766e", "#7c3aed", "#be185d", "#475569")


@dataclass(frozen=True)
class Network:
    """One network of one run.

    Attributes:
        badge: Short sign on charts and in tables: "D" for a dense network ("D2" in run 2), else a number.
        name: The label, with the run's title where there are several runs.
        colour: As "#rrggbb".
        run: The run that it belongs to.
        source: The report's own record.
    """

    badge: str
    name: str
    role: Role
    colour: str
    run: Run
    source: Dense

    @property
    def ticket(self) -> Ticket | None:
        """The record of a drawn subnet; None for a dense network."""
        return self.source if isinstance(self.source, Ticket) else None

    @property
    def measured_ms(self) -> float | None:
        """The measured median latency, in ms."""
        return self.source.latency_ms.p50 if self.source.latency_ms else None

    @property
    def latency_ms(self) -> float | None:
        """The measured median latency or, where there is none, the predicted one, in ms."""
        return self.source.predicted_ms if self.measured_ms is None else self.measured_ms

    @property
    def spread_ms(self) -> tuple[float, float]:
        """How far `latency_ms` reaches down and up, in ms: to p10 and p90, or by the prediction's error."""
        measured = self.source.latency_ms
        if measured is None:
            error_ms = self.source.predicted_error_ms or 0.0
            return min(error_ms, self.latency_ms or 0.0), error_ms
        down_ms = 0.0 if measured.p10 is None else measured.p50 - measured.p10
        up_ms = 0.0 if measured.p90 is None else measured.p90 - measured.p50
        return max(0.0, down_ms), max(0.0, up_ms)

    @property
    def reach_ms(self) -> tuple[float, float]:
        """Both ends of `spread_ms` around `latency_ms`, in ms."""
        centre_ms, (down_ms, up_ms) = self.latency_ms or 0.0, self.spread_ms
        return centre_ms - down_ms, centre_ms + up_ms

    @property
    def pace(self) -> float:
        """What its latencies are multiplied with to be of the moment when the dense network was measured.

        Networks of one run are measured at different times, when the machine is not equally fast; a budget
        that is a share of the dense latency is kept or missed by the ratio of runs in turns. 1 for others.
        """
        ratio, dense = self.ticket.ratio if self.ticket else None, self.run.dense.latency_ms
        if ratio is None or dense is None or not self.measured_ms or not self._relative:
            return 1.0
        return ratio.median * dense.p50 / self.measured_ms

    @property
    def charted_ms(self) -> float | None:
        """`latency_ms` at the speed of the moment when the dense network was measured."""
        return None if self.latency_ms is None else self.pace * self.latency_ms

    @property
    def charted_spread_ms(self) -> tuple[float, float]:
        """`spread_ms` at that speed."""
        down_ms, up_ms = self.spread_ms
        return self.pace * down_ms, self.pace * up_ms

    @property
    def _relative(self) -> bool:
        """Whether it was drawn for a share of the dense latency."""
        metrics = {budget.text: budget.metric for budget in self.run.budgets}
        asked = [part.strip() for part in self.ticket.budget_text.split(",")] if self.ticket else []
        return any(text.endswith("%") and metrics.get(text, "latency") == "latency" for text in asked)

    @property
    def predicted_reach_ms(self) -> tuple[float, float]:
        """Both ends of the prediction, in ms."""
        predicted_ms, error_ms = self.source.predicted_ms or 0.0, self.source.predicted_error_ms or 0.0
        return predicted_ms - error_ms, predicted_ms + error_ms

    @property
    def predicted_share(self) -> float | None:
        """Predicted latency as a share of the dense network's, where neither was measured."""
        dense_ms = self.run.dense.predicted_ms
        if self.measured_ms is not None or self.source.predicted_ms is None or not dense_ms:
            return None
        return self.source.predicted_ms / dense_ms

    @property
    def share(self) -> Ratio | None:
        """Latency as a share of the dense network's; of two medians, without interval, if not paired."""
        if self.ticket and self.ticket.ratio:
            return self.ticket.ratio
        dense_ms = self.run.dense.latency_ms.p50 if self.run.dense.latency_ms else None
        if self.measured_ms is None or not dense_ms:
            return None
        return Ratio(median=self.measured_ms / dense_ms)

    def accuracy(self, split: str) -> float | None:
        """The metric on "test" or "validation", in the task's unit."""
        value: float | None = getattr(self.source.accuracy, split)
        return value


def list_networks(document: Document) -> list[Network]:
    """All networks: each run's dense one, then its tickets and comparisons in the report's order."""
    if len(document.runs) == 1:
        run = document.runs[0]
        return of_run(_of_runs(document), run)
    return _of_runs(document)


def of_run(networks: Sequence[Network], run: Run) -> list[Network]:
    """One run's networks for its own charts: badges as everywhere, names without the run, colours apart."""
    own = [network for network in networks if network.run is run]
    return [replace(network, name=network.source.label, colour=_colour(network)) for network in own]


def quality_split(networks: Sequence[Network]) -> str:
    """The split that charts show: "test", or "validation" where no network was tested; never both."""
    return "test" if any(network.accuracy("test") is not None for network in networks) else "validation"


def budget_limits(networks: Sequence[Network]) -> list[tuple[float, str]]:
    """Latency limits (ms, the budget's text) in rising order, also of tickets drawn later from a run."""
    limits: dict[tuple[float, str], None] = {}
    for network in networks:
        given = {budget.text: budget.limit for budget in network.run.budgets if budget.metric == "latency"}
        ticket = network.ticket
        if ticket and ticket.draws and ticket.draws[-1].limit_ms and ticket.budget_text:
            given.setdefault(ticket.budget_text, network.pace * ticket.draws[-1].limit_ms)
        limits |= {(round(limit_ms, 6), text): None for text, limit_ms in given.items()}
    return sorted(limits)


def spaced_labels(limits: Sequence[tuple[float, str]], width: float) -> list[tuple[float, str]]:
    """Those limits whose labels do not run into the label before, on an axis of this width in ms."""
    shown: list[tuple[float, str]] = []
    for limit_ms, text in limits:
        if not shown or limit_ms - shown[-1][0] > _LABEL_SHARE * width:
            shown.append((limit_ms, text))
    return shown


def _of_runs(document: Document) -> list[Network]:
    several = len(document.runs) > 1
    networks: list[Network] = []
    for index, run in enumerate(document.runs):
        tickets = sum(network.role != "dense" for network in networks)
        badges = [
            f"D{index + 1}" if several else "D",
            *(str(tickets + n) for n in range(1, len(run.tickets) + 1)),
        ]
        roles: list[Role] = ["dense", *(ticket.role for ticket in run.tickets)]
        for badge, role, source in zip(badges, roles, [run.dense, *run.tickets], strict=True):
            name, colour = f"{run.title}: {source.label}", _RUNS[index % len(_RUNS)]
            networks.append(Network(badge, name, role, colour, run, source))
    return networks


def _colour(network: Network) -> str:
    if network.ticket is None:
        return _DENSE
    palette = _TICKETS if network.role == "ticket" else _COMPARISONS
    alike = [ticket for ticket in network.run.tickets if ticket.role == network.role]
    return palette[alike.index(network.ticket) % len(palette)]
