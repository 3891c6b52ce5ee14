"""What every supernet tells the search about itself."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from hwtickets.space.operators import GraphBuilder, Value

if TYPE_CHECKING:
    from hwtickets.space.units import Unit

#: The description of a block as it is trained, batch norms folded.
PLAIN = "plain"


class ParallelSum(nn.ModuleDict):
    """Branches whose outputs are summed; any of them may vanish."""


class SearchingBlock(nn.Module):
    """A part of a supernet whose branches and hidden channels are searched.

    Its input and output shapes never change, so blocks are independent of one another.
    """

    #: The ways in which the block can be deployed, all of them exact.
    forms: tuple[str, ...] = ("split",)

    @abstractmethod
    def importance_factors(self) -> dict[str, str]:
        """Local unit name -> local name of the batch norm that holds its importance factors."""

    def declared_members(self) -> dict[str, list[tuple[str, str, int]]]:
        """Units whose tensors the dependency graph cannot tell: (local module, tensor, dimension) of each."""
        return {}

    @abstractmethod
    def describe(
        self, builder: GraphBuilder, name: str, x: Value, widths: Mapping[str, int], form: str
    ) -> Value:
        """Writes the operators of the deployed block.

        Args:
            builder: Receives the operators.
            name: Full name of the block in the supernet.
            x: Input of the block.
            widths: Channels kept by full unit name (`name` + "." + local unit name); 0 removes the branch.
            form: One of `forms`, or `PLAIN` for the operators that the trained block asks for: what MACs and
                parameters are counted on.

        Returns:
            The output of the block.
        """

    def drop_unused(self) -> None:
        """Removes what no longer takes part in the forward pass; called after branches were removed."""
        return None

    @abstractmethod
    def deployed(self, form: str) -> nn.Module:
        """An equal inference-only module in the given form, batch norms folded."""


def within(name: str, modules: Iterable[str]) -> bool:
    """Whether a full name is that of one of some modules, or of something in it."""
    return any(name == module or name.startswith(f"{module}.") for module in modules)


class Supernet(nn.Module):
    """An over-parameterised network that is trained once and from which tickets are drawn.

    Its operators are written by itself (`DescribedSupernet`) or recorded (`modules.hosted.HostedNetwork`).

    Attributes:
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs of the head.
        sizes: Every other argument that it was built with, defaults resolved: what rebuilds it for good.
        present: Channels that are left by unit, where units share tensors and those do not tell; else None.
    """

    #: The heads that it can be built with; with more than one, `head` is one of its sizes.
    heads: tuple[str, ...] = ("classification",)
    #: Names of the modules that belong to the head; all the others are the trunk, which transfers.
    head_modules: tuple[str, ...] = ()
    #: Names of those of them that give the outputs: all that is new in another head of the same kind.
    output_modules: tuple[str, ...] = ()
    #: Names of the sizes that another kind of head has others of.
    head_sizes: tuple[str, ...] = ()

    input_shape: tuple[int, int, int]
    classes: int
    sizes: dict[str, Any]
    present: dict[str, int] | None = None

    def after_cut(self, units: Iterable[Unit]) -> None:
        """Called after channels of some of the units of its space were removed."""
        return None

    def searching_blocks(self) -> Iterator[tuple[str, SearchingBlock]]:
        """Full name and module of every searching block, in execution order."""
        for name, module in self.named_modules():
            if isinstance(module, SearchingBlock):
                yield name, module


class DescribedSupernet(Supernet):
    """A supernet that is made of searching blocks and writes its own operators."""

    @abstractmethod
    def describe(self, builder: GraphBuilder, widths: Mapping[str, int], forms: Mapping[str, str]) -> None:
        """Writes the operators of the deployed network; see `SearchingBlock.describe`."""
