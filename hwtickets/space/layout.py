"""Where the channels of several units lie along one dimension of a tensor, now that some of them are gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.space.units import Member, Unit

#: A dimension of a tensor: module, tensor, dimension.
Slot = tuple[str, str, int]


@dataclass
class Layout:
    """One dimension of a tensor, shared by channels of one or several units.

    What is left of a unit lies where its first channels lay: so the present places follow from the numbers of
    channels alone, whichever of them are left.

    Attributes:
        length: Entries along the dimension now.
        present: Channels that are left of each unit on it.
        parts: Members of the units on it, by unit.
    """

    length: int
    present: Mapping[str, int]
    parts: dict[str, tuple[Unit, Member]] = field(default_factory=dict)

    def places(self, unit: str) -> NDArray[np.int64]:
        """Present places of the channels of a unit; shape (channels left, entries a channel)."""
        owner, member = self.parts[unit]
        return self._ranks()[entries_of(owner, member)[: self.present[unit]]]

    def kept(self, kept: Mapping[str, Tensor]) -> Tensor:
        """Ascending places that stay.

        Args:
            kept: Channels to keep by unit, counted in the present network.
        """
        stays = np.ones(self.length, np.bool_)
        for unit in self.parts:
            if unit in kept:
                gone = np.ones(self.present[unit], np.bool_)
                gone[kept[unit].cpu().numpy()] = False
                stays[self.places(unit)[gone].ravel()] = False
        return torch.from_numpy(np.flatnonzero(stays))

    def _ranks(self) -> NDArray[np.int64]:
        """Present place of every entry of the full dimension that is left."""
        entries = {unit: entries_of(*part) for unit, part in self.parts.items()}
        gone = [places[self.present[unit] :].ravel() for unit, places in entries.items()]
        alive = np.ones(self.length + sum(len(places) for places in gone), np.bool_)
        for places in gone:
            alive[places] = False
        ranks: NDArray[np.int64] = np.cumsum(alive) - 1
        return ranks


def entries_of(unit: Unit, member: Member) -> NDArray[np.int64]:
    """Places of the channels in the full network; shape (channels, entries a channel)."""
    if member.entries is None:
        return np.arange(unit.width)[:, None]
    return np.array(member.entries)


def tensor_of(model: nn.Module, member: Member) -> Tensor | None:
    """The tensor of a member; None where it is gone with the branch that it was in."""
    try:
        tensor: Tensor | None = getattr(model.get_submodule(member.module), member.tensor)
    except AttributeError:
        return None
    return tensor


def layouts(
    model: nn.Module, units: Iterable[Unit], present: Mapping[str, int]
) -> Iterator[tuple[Slot, Layout]]:
    """Every dimension that channels of units lie on, as far as it is left.

    Args:
        model: The network as it is now.
        units: All units of its space: places depend on those that share a tensor.
        present: Channels that are left, by unit.
    """
    found: dict[Slot, Layout] = {}
    for unit in units:
        for member in unit.members:
            slot = (member.module, member.tensor, member.dim)
            if slot not in found:
                tensor = tensor_of(model, member)
                if tensor is None:
                    continue
                found[slot] = Layout(tensor.shape[member.dim], present)
            found[slot].parts[unit.name] = (unit, member)
    yield from found.items()
