"""A ticket's network with the head of another task on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hwtickets.config import SupernetConfig
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.modules.fitting import check_fit
from hwtickets.search.tickets import as_ticket
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.sparsity.ticket import Ticket
from hwtickets.supernets import MODULE, SUPERNETS, Supernet, build_supernet
from hwtickets.supernets.base import within
from hwtickets.tasks.task import Task


@dataclass(frozen=True)
class Graft:
    """A network made of a ticket's trunk and a new head.

    Attributes:
        model: The network; what is not new has the ticket's weights.
        space: Its search space.
        widths: Its channels by unit.
        forms: Deployed form by block.
        new_modules: Names of what is new: the head; where the ticket's is of the same kind, its outputs only.
        new_units: Units of these, at full width.
    """

    model: Supernet
    space: SearchSpace
    widths: dict[str, int]
    forms: dict[str, str]
    new_modules: tuple[str, ...]
    new_units: list[str]

    def is_new(self, name: str) -> bool:
        """Whether a module, parameter or unit of a full name is new."""
        return within(name, self.new_modules)

    def ticket(self, task: Task, data: str, provenance: Mapping[str, Any]) -> Ticket:
        """The network as a ticket of its task."""
        return as_ticket(self.model, self, self.space, task, data, provenance)


def graft(ticket: Ticket, task: Task) -> Graft:
    """Builds the network of a task around the trunk of a ticket.

    A head of the kind that the task needs stays, all but its outputs: maps to other maps keep the block that
    joins the branches. Source: SuperTickets (ECCV 2022), transfer between segmentation tasks, in its code.

    Args:
        ticket: The ticket.
        task: The task.

    Raises:
        UsageError: The supernet has no such head, that of a module cannot be found or is of another kind than
            the task's, or the inputs have other channels.
        HwticketsError: The trunks differ.
    """
    known = ticket.architecture
    if known.input_shape[0] != task.input_shape[0]:
        raise UsageError(
            f"the ticket takes images of {known.input_shape[0]} channels, {task.name} gives"
            f" {task.input_shape[0]}: the stem does not fit; choose data with as many channels"
        )
    model = _module(ticket, task) if known.supernet == MODULE else _supernet(ticket, task)
    space = space_of(model, known.supernet)
    new = _new_modules(model, ticket, task)
    new_units = [name for name in space.units if within(name, new)]
    widths = {name: unit.width for name, unit in space.units.items()}
    old = widths.keys() - new_units
    if not old <= known.widths.keys():
        raise HwticketsError(
            f"transfer: the ticket's supernet has no {min(old - known.widths.keys())}; its sizes depend on"
            " the input, try the resolution of the ticket"
        )
    widths |= {name: known.widths[name] for name in old}
    resize(model, space.units.values(), widths)
    _take_over(model, ticket, new)
    forms = {
        block: names[0] if within(block, new) else known.forms[block]
        for block, names in space.forms().items()
    }
    return Graft(model, space, widths, forms, new, new_units)


def _new_modules(model: Supernet, ticket: Ticket, task: Task) -> tuple[str, ...]:
    same_kind = _head_of(ticket) == task.head
    return (same_kind and model.output_modules) or model.head_modules


def _supernet(ticket: Ticket, task: Task) -> Supernet:
    """The supernet of a ticket with the head that a task needs."""
    known = ticket.architecture
    if known.supernet not in SUPERNETS:
        raise UsageError(
            f"transfer: the ticket is of supernet {known.supernet}, whose head is not known; transfer needs"
            f" one of {', '.join([*SUPERNETS, MODULE])}"
        )
    head = _head_of(ticket)
    left_out = SUPERNETS[known.supernet].head_sizes if head != task.head else ()
    sizes = {key: value for key, value in known.sizes.items() if key not in left_out}
    if "init" in sizes:
        # The trunk's weights are taken over, so this is how the new ones begin.
        sizes["init"] = getattr(task, "head_init", sizes["init"])
    return build_supernet(known.supernet, task.input_shape, task.num_outputs, sizes, task.head)


def _module(ticket: Ticket, task: Task) -> Supernet:
    """The module of a ticket, its output layers replaced by such with the outputs of a task."""
    from hwtickets.modules.head import find_heads
    from hwtickets.modules.hosted import HostedNetwork

    known = ticket.architecture
    before = build_supernet(MODULE, known.input_shape, known.classes, known.sizes)
    assert isinstance(before, HostedNetwork)
    sizes = {**known.sizes, "head": find_heads(before)}
    model = build_supernet(MODULE, task.input_shape, task.num_outputs, sizes)
    check_fit(task, model, f"module {SupernetConfig(name=MODULE, sizes=known.sizes).title}")
    return model


def _take_over(model: Supernet, ticket: Ticket, new: Iterable[str]) -> None:
    own = model.state_dict()
    old = [name for name in own if not within(name, new)]
    for name in old:
        if name not in ticket.weights or ticket.weights[name].shape != own[name].shape:
            raise HwticketsError(
                f"transfer: {name} of the ticket does not fit the new network; its supernet depends"
                " on the input, try the resolution of the ticket"
            )
    model.load_state_dict({**own, **{name: ticket.weights[name] for name in old}})


def _head_of(ticket: Ticket) -> str:
    return str(ticket.architecture.sizes.get("head", "classification"))
