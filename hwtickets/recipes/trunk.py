"""A ticket's trunk with the head of another task on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.search.tickets import as_ticket
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.ticket import Ticket
from hwtickets.supernets import SUPERNETS, Supernet, build_supernet
from hwtickets.tasks.task import Task


@dataclass(frozen=True)
class Graft:
    """A network made of a trunk and a new head.

    Attributes:
        model: The network; the trunk's weights are the ticket's, those of the head are new.
        space: Its search space.
        widths: Its channels by unit.
        forms: Deployed form by block.
        new_units: Units of the head, at full width.
    """

    model: Supernet
    space: SearchSpace
    widths: dict[str, int]
    forms: dict[str, str]
    new_units: list[str]

    def ticket(self, task: Task, data: str, provenance: Mapping[str, Any]) -> Ticket:
        """The network as a ticket of its task."""
        return as_ticket(self.model, self, self.space, task, data, provenance)


def graft(ticket: Ticket, task: Task) -> Graft:
    """Builds the network of a task around the trunk of a ticket.

    Args:
        ticket: The ticket.
        task: The task.

    Raises:
        UsageError: The supernet has no such head, or the inputs have other channels.
        HwticketsError: The trunks differ.
    """
    known = ticket.architecture
    if known.supernet not in SUPERNETS:
        raise UsageError(
            f"transfer: the ticket is of supernet {known.supernet}, whose head is not known; transfer needs"
            f" one of {', '.join(SUPERNETS)}"
        )
    if known.input_shape[0] != task.input_shape[0]:
        raise UsageError(
            f"the ticket takes images of {known.input_shape[0]} channels, {task.name} gives"
            f" {task.input_shape[0]}: the stem does not fit; choose data with as many channels"
        )
    head = _head_of(ticket)
    left_out = SUPERNETS[known.supernet].head_sizes if head != task.head else ()
    sizes = {key: value for key, value in known.sizes.items() if key not in left_out}
    model = build_supernet(known.supernet, task.input_shape, task.num_outputs, sizes, task.head)
    space = SearchSpace(model, known.supernet)
    new_units = [name for name in space.units if model.in_head(name)]
    widths = {name: unit.width for name, unit in space.units.items()}
    trunk = {name for name in widths if name not in new_units}
    if not trunk <= set(known.widths):
        raise HwticketsError(
            f"transfer: the ticket's supernet has no {min(trunk - set(known.widths))}; its sizes depend on"
            " the input, try the resolution of the ticket"
        )
    widths |= {name: known.widths[name] for name in trunk}
    resize(model, space.units.values(), widths)
    _take_over(model, ticket)
    forms = {
        block: names[0] if model.in_head(block) else known.forms[block]
        for block, names in space.forms().items()
    }
    return Graft(model, space, widths, forms, new_units)


def _take_over(model: Supernet, ticket: Ticket) -> None:
    own = model.state_dict()
    for name in (name for name in own if not model.in_head(name)):
        if name not in ticket.weights or ticket.weights[name].shape != own[name].shape:
            raise HwticketsError(
                f"transfer: {name} of the ticket's trunk does not fit the new network; its supernet depends"
                " on the input, try the resolution of the ticket"
            )
    trunk = {name: weight for name, weight in ticket.weights.items() if not model.in_head(name)}
    model.load_state_dict({**own, **{name: trunk[name] for name in own if name in trunk}})


def _head_of(ticket: Ticket) -> str:
    return str(ticket.architecture.sizes.get("head", "classification"))
