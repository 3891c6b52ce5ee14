"""Networks of a search space to be measured, chosen so that every unit is seen at every width."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorGraph

if TYPE_CHECKING:
    from torch import nn


class Space(Protocol):
    """What a table needs to know of a search space."""

    name: str
    input_shape: tuple[int, int, int]
    #: Whether an operator's channels may belong to two units, so that it has many more sizes than units do.
    coupled: bool

    @property
    def units(self) -> Mapping[str, object]:
        """Units by name."""

    def widths_allowed(self, unit: str, alignment: int) -> list[int]:
        """Aligned widths of a unit, ascending, its full width included."""

    def dense(self) -> dict[str, int]:
        """The full widths."""

    def forms(self) -> dict[str, list[str]]:
        """Deployed forms by block."""

    def graph(self, widths: Mapping[str, int], forms: Mapping[str, str] | None = None) -> OperatorGraph:
        """Operators of a network."""


@runtime_checkable
class ModuleSpace(Protocol):
    """A space whose networks are modules of someone else: what the graph says of them is to be checked."""

    @property
    def branches(self) -> Mapping[str, Sequence[str]]:
        """Units by residual branch that may vanish as a whole: then they have no channels."""

    def module(self, widths: Mapping[str, int]) -> nn.Module:
        """The network of some widths, deployable, its weights of no account."""


class Drawn(NamedTuple):
    """A network of a space.

    Attributes:
        widths: By unit.
        forms: By block.
    """

    widths: dict[str, int]
    forms: dict[str, str]


#: How far a unit's share of its full width lies from its network's, at most.
_WIDTH_SPREAD = 0.5
#: In a network, up to this share of the units is removed on top of those that are narrowed to nothing, and of
#: the branches that can vanish.
_MOST_REMOVED = 0.6


def corner_networks(space: Space) -> list[OperatorGraph]:
    """The largest networks, all blocks in their first, second, ... form."""
    most = max((len(forms) for forms in space.forms().values()), default=1)
    return [
        space.graph(
            space.dense(),
            {block: forms[min(index, len(forms) - 1)] for block, forms in space.forms().items()},
        )
        for index in range(most)
    ]


def reference_networks(space: Space, alignment: int) -> list[OperatorGraph]:
    """The largest and the smallest network, in the first forms: what others are timed beside."""
    smallest = {unit: space.widths_allowed(unit, alignment)[0] for unit in space.units}
    return [corner_networks(space)[0], space.graph(smallest)]


def sampled_alignment(space: Space, alignment: int) -> int:
    """What widths of measured networks are multiples of: the device's alignment, or less in narrow spaces.

    Where every unit is too narrow for it, all networks of a table would be the largest one.
    """
    while alignment > 1 and all(len(space.widths_allowed(unit, alignment)) == 1 for unit in space.units):
        alignment //= 2
    return alignment


def space_id(space: Space) -> str:
    """A short name of a space's operators: equal for spaces that one table can serve."""
    operators = [repr(operator.spec) for graph in corner_networks(space) for operator in graph]
    return hashlib.sha256("\n".join(operators).encode()).hexdigest()[:8]


def sampled_networks(space: Space, alignment: int, count: int, seed: int) -> list[OperatorGraph]:
    """Operators of networks of all sizes; see `sampled` for the arguments."""
    return [space.graph(drawn.widths, drawn.forms) for drawn in sampled(space, alignment, count, seed)]


def sampled(space: Space, alignment: int, count: int, seed: int) -> list[Drawn]:
    """Networks of all sizes, Latin-hypercube sampled.

    Each network has a size and a share of removed units and branches; a unit's width scatters around its
    network's size. Size, removal, every unit's scatter, every block's form and every branch's end are
    stratified over the networks.

    Args:
        space: Where they come from.
        alignment: Widths are those that are allowed at this alignment.
        count: How many.
        seed: Of the sampling.
    """
    units, blocks = list(space.units), space.forms()
    branches = list(space.branches.values()) if isinstance(space, ModuleSpace) else []
    random = np.random.default_rng(seed)
    ends = np.cumsum([len(units), len(units), len(blocks)])
    coordinates = _latin_hypercube(random, count, 2 + int(ends[-1]) + len(branches))
    networks = []
    for point in coordinates:
        size, removal = point[0], point[1] * _MOST_REMOVED
        scatter, fate, choice, end = np.split(point[2:], ends)
        widths = {
            unit: _width(
                space.widths_allowed(unit, alignment),
                size + (2 * scatter[i] - 1) * _WIDTH_SPREAD,
                fate[i] < removal,
            )
            for i, unit in enumerate(units)
        }
        for i, gone in enumerate(branches):
            widths |= dict.fromkeys(gone, 0) if end[i] < removal else {}
        forms = {block: known[int(choice[i] * len(known))] for i, (block, known) in enumerate(blocks.items())}
        networks.append(Drawn(widths, forms))
    return networks


def _width(allowed: list[int], share: float, removed: bool) -> int:
    if removed:
        return allowed[0]
    return allowed[round(float(np.clip(share, 0.0, 1.0)) * (len(allowed) - 1))]


def _latin_hypercube(random: np.random.Generator, count: int, dimensions: int) -> NDArray[np.float64]:
    """(count, dimensions) in [0, 1): each column has one point in each of `count` equal intervals."""
    strata = np.stack([random.permutation(count) for _ in range(dimensions)], axis=1)
    return (strata + random.random((count, dimensions))) / count
