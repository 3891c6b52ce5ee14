"""Which entries of which tensors belong to which channel of a unit, in a network as it is now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from hwtickets.space.layout import Layout, Slot, layouts, tensor_of
from hwtickets.space.slicing import present_widths
from hwtickets.space.units import Member, Unit
from hwtickets.supernets.base import Supernet

#: Entries of every channel along a dimension, (channels, entries of a channel); None: channel i is entry i.
Entries = Tensor | None


class Places:
    """Finds the entries of channels.

    Args:
        model: The network; what is found holds until it is cut again.
        units: All units of its space.

    Attributes:
        widths: Channels that are left, by unit.
    """

    def __init__(self, model: Supernet, units: Iterable[Unit]) -> None:
        units = list(units)
        self._model = model
        self.widths = present_widths(model, units)
        # Where every unit has its tensors for itself, channel i is entry i.
        shared = model.present is not None
        self._layouts: dict[Slot, Layout] = dict(layouts(model, units, self.widths)) if shared else {}

    def of(self, unit: Unit, member: Member) -> Entries:
        """Entries of the channels of a unit along a member's dimension."""
        layout = self._layouts.get((member.module, member.tensor, member.dim))
        if layout is None or unit.name not in layout.parts:
            return None
        return torch.from_numpy(layout.places(unit.name))

    def factors(self, unit: Unit) -> list[tuple[nn.Module, Entries]]:
        """The modules that scale a unit's channels by their `weight`, and the channels' entries in it.

        Those that stand for the whole channel together; see `hwtickets.modules.factors`.
        """
        if self._model.present is None:
            return [(self._model.get_submodule(unit.importance), None)]
        left = [member for member in unit.factors if tensor_of(self._model, member) is not None]
        return [(self._model.get_submodule(member.module), self.of(unit, member)) for member in left]

    def weights(self, unit: Unit, readers: bool = False) -> list[tuple[Member, Entries]]:
        """Matrices and kernels that make a unit's channels, and the channels' entries in them.

        Args:
            unit: A unit that is present.
            readers: Those that read the channels, too.
        """
        made = [member for member in unit.members if readers or not member.reads]
        return [(member, self.of(unit, member)) for member in made if self._is_matrix(member)]

    def _is_matrix(self, member: Member) -> bool:
        tensor = tensor_of(self._model, member)
        return isinstance(tensor, nn.Parameter) and tensor.dim() > 1


def by_channel(values: Tensor, entries: Entries) -> Tensor:
    """Values of entries, (entries,), as those of channels, (channels, entries of a channel)."""
    return values[:, None] if entries is None else values[entries.to(values.device)]


def summed(values: Mapping[str, Tensor], weights: Sequence[tuple[Member, Entries]]) -> Tensor:
    """Sums of values over the weights of every channel.

    Args:
        values: Tensors of the shape of the weights, by state-dict name.
        weights: Those of one unit, with the entries of its channels.

    Returns:
        Shape (weights, channels).
    """
    sums = []
    for member, entries in weights:
        along = values[member.name].transpose(0, member.dim).flatten(1).sum(1)
        sums.append(by_channel(along, entries).sum(1))
    return torch.stack(sums)
