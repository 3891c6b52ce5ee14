"""In which form each block is deployed: branches merged or apart, whichever is faster on the device."""

from __future__ import annotations

from hwtickets.costs import LatencyCost
from hwtickets.deploy.deployable import Forms, drawn_forms
from hwtickets.devices import DeviceProfile
from hwtickets.errors import DeviceError, UsageError
from hwtickets.progress import Progress
from hwtickets.space.space import SearchSpace
from hwtickets.sparsity.choices import price_network
from hwtickets.sparsity.ticket import Ticket
from hwtickets.tables import LatencyTable, find_table, table_for


def forms_for(ticket: Ticket, device: DeviceProfile, precision: str, progress: Progress) -> Forms:
    """The forms that are fastest on a device, by its table; without one those of the draw, with a note.

    Args:
        ticket: What is deployed.
        device: Where.
        precision: Of the deployed network; the table's column is the nearest that there is.
        progress: Gets the note.
    """
    drawn, (_, space) = drawn_forms(ticket), ticket.architecture.build()
    choices = any(len(forms) > 1 for forms in space.forms().values())
    if drawn.device in ("", device.name) or not choices:
        return drawn
    table = _table(space, device, precision, progress)
    if table is None:
        progress.note(
            f"branches are merged where that is faster on {drawn.device}, which the ticket was drawn for;"
            f" there is no latency table of {device.name} (hwtickets table build --device {device.name}"
            f" --supernet {space.name})"
        )
        return drawn
    chosen, _ = price_network(space, ticket.architecture.widths, {"latency": LatencyCost(table).additive()})
    return Forms(chosen, device.name)


def _table(
    space: SearchSpace, device: DeviceProfile, precision: str, progress: Progress
) -> LatencyTable | None:
    for column in dict.fromkeys([precision, *device.precisions]):
        found = None
        try:
            if not device.measurable:  # Nothing is measured by it then: it reads what there is.
                found = table_for(space, device, column, progress)
            elif column in device.table_precisions:
                found = find_table(device, space, column)
        except UsageError:
            continue
        except DeviceError:  # There is no table at all, or the board cannot be asked what state it is in.
            return None
        if found is not None:
            return found
    return None
