"""The search space of a hosted network: its units, and its operators as a function of them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import nn

from hwtickets.modules.bypass import Bypass
from hwtickets.modules.depth import find_depth
from hwtickets.modules.forms import Sizes
from hwtickets.modules.fusion import Fusion
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.recorder import record, weightless
from hwtickets.modules.steps import Step
from hwtickets.modules.trial import tried_groups
from hwtickets.space.operators import Operator, OperatorGraph, Value
from hwtickets.space.slicing import resize
from hwtickets.space.space import MOST_WIDTHS, SearchSpace, Widths
from hwtickets.space.units import Member
from hwtickets.structure import Structure


class ModuleSpace(SearchSpace):
    """All networks that can be drawn from a module that somebody else wrote.

    An operator's cost depends on the widths of the units on both of its sides, so blocks are no independent
    choices here: `coupled` is true, and draws go through `hwtickets.sparsity.coupled`.

    Args:
        model: The network, with its full widths.
        name: Name of the supernet, "module".

    Attributes:
        unprunable: Why the outputs of a layer are never cut, by the module's name.
        steps: The deployed operators, their sizes as functions of what is kept.
        branches: Units by residual branch that may vanish as a whole: then all of them have no channels.

    Raises:
        HwticketsError: The network cannot be traced; names the part of it.
    """

    coupled = True

    def __init__(self, model: HostedNetwork, name: str) -> None:
        self.name = name
        self.input_shape = model.input_shape
        bare = weightless(model)
        assert isinstance(bare, HostedNetwork)
        self._model: HostedNetwork = bare
        # On a copy: some networks keep what they computed in their first run.
        run = record(copy.deepcopy(bare), model.input_shape)
        groups = tried_groups(bare, run, model.sizes["keep"])
        depth = find_depth(bare, run, groups.units, model.sizes["keep"])
        self.units = depth.marked(groups.units)
        self.unprunable = {**groups.unprunable, **depth.denied}
        sizes = Sizes(groups)
        fusion = Fusion(bare, run, sizes)
        self.steps: list[Step] = fusion.steps
        self._names = {id(run.input): "x"}
        for step in self.steps:
            self._names[id(step.output)] = step.name
        self._rewire(fusion)
        self._bypass = Bypass(fusion, sizes, depth.removable, self._names)
        self.branches = {one.branch.name: list(one.units) for one in depth.removable}
        self.blocks = {}
        for unit in self.units.values():
            self.blocks.setdefault(unit.block, []).append(unit.name)

    @property
    def outputs(self) -> Structure | None:
        """What the module returns; None where it is one tensor."""
        return self._model.structure

    def _rewire(self, fusion: Fusion) -> None:
        """Tensors that were fused away go by the name of what is written instead."""
        for identity, tensor in fusion.root.items():
            if id(tensor) in self._names:
                self._names.setdefault(identity, self._names[id(tensor)])
        for identity, step in fusion.made.items():
            self._names.setdefault(identity, step.name)

    def widths_allowed(self, unit: str, alignment: int, limit: int | None = None) -> list[int]:
        """Widths that a unit may be drawn at, ascending; at least one channel stays unless its branch goes.

        Widths are counted in channels of the unit (heads, groups); what has to be aligned is the channels of
        its tensors, so a unit of whole heads or groups takes the smallest step that keeps those aligned.
        """
        return _aligned(self.units[unit].width if limit is None else limit, self.step(unit, alignment))

    def channels_of(self, unit: str) -> int:
        """Channels of a tensor that one channel of a unit stands for: those of a head or of a group."""
        members = [member for member in self.units[unit].members if not self._of_one_group(member)]
        return min((1 if member.entries is None else len(member.entries[0]) for member in members), default=1)

    def _of_one_group(self, member: Member) -> bool:
        """Whether a dimension counts the inputs of one group: all groups together make the tensor's."""
        return member.dim == 1 and getattr(self._model.get_submodule(member.module), "groups", 1) > 1

    def step(self, unit: str, alignment: int) -> int:
        """Channels of a unit that are the least whole step of aligned tensors, e.g. one head."""
        return alignment // math.gcd(alignment, self.channels_of(unit))

    def forms(self) -> dict[str, list[str]]:
        """None: a module is deployed as it is."""
        return {}

    def graph(self, widths: Widths, forms: Mapping[str, str] | None = None) -> OperatorGraph:
        """Operators of the deployed network (batch norm folded, activation and add fused)."""
        shape = tuple(self.input_shape)
        channels, height, width = shape if len(shape) == 3 else (shape[-1], math.prod(shape[:-1]), 1)
        x = Value("x", channels, height, width)
        return OperatorGraph(x, self.operators(self.steps, widths), () if len(shape) == 3 else shape)

    def operators(self, steps: list[Step], widths: Widths) -> list[Operator]:
        """Some of the operators at some widths; a branch is gone with the first of its units."""
        widths = self._settled(widths)
        names = self._bypass.names_at(widths)
        return [step.operator(widths, names) for step in steps if step.present(widths)]

    def _settled(self, widths: Widths) -> Widths:
        gone = [units for units in self.branches.values() if not all(widths[unit] for unit in units)]
        return {**widths, **{unit: 0 for units in gone for unit in units}}

    def plain_graph(self, widths: Widths) -> OperatorGraph:
        """Operators that the trained network asks for: here the deployed ones."""
        return self.graph(widths)

    def fixed_operators(self) -> list[Operator]:
        """Operators that no unit changes."""
        return self.operators([step for step in self.steps if not step.units], self.dense())

    def block_operators(self, block: str, widths: Widths, form: str) -> list[Operator]:
        """Operators of one part of the network; `widths` needs all units."""
        return self.operators([step for step in self.steps if step.block == block], widths)

    def module(self, widths: Widths) -> nn.Module:
        """The network at some widths with weights of no meaning, ready to be exported."""
        model = copy.deepcopy(self._model)
        resize(model, self.units.values(), dict(widths))
        model = model.to_empty(device="cpu")
        with torch.no_grad():
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
                _fill(name, tensor)
        return model.deployed()


def _fill(name: str, tensor: torch.Tensor) -> None:
    if not tensor.is_floating_point():
        tensor.zero_()
    elif name.endswith("running_var"):
        tensor.fill_(1.0)
    else:
        tensor.uniform_(-0.1, 0.1)


def _aligned(limit: int, step: int) -> list[int]:
    step *= max(1, -(-limit // (step * MOST_WIDTHS)))
    return sorted({*range(min(step, limit), limit + 1, step), limit})
