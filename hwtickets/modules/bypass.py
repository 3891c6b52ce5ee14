"""Operators of branches that can vanish, and what reads what without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from hwtickets.modules.depth import Removable
from hwtickets.modules.forms import Sizes
from hwtickets.modules.fusion import Fusion
from hwtickets.modules.steps import Step
from hwtickets.space.spec import OperatorSpec


class Bypass:
    """Marks the operators of all branches, and knows the way around those that are gone.

    Args:
        fusion: The operators of the whole network; those of branches are marked in place, and an activation
            that a runtime computes along with a sum gets an operator of its own for when the sum is gone.
        sizes: Forms of the tensors.
        removable: The branches.
        names: Names of all tensors, by identity.
    """

    def __init__(
        self, fusion: Fusion, sizes: Sizes, removable: Sequence[Removable], names: Mapping[int, str]
    ) -> None:
        self._names = names
        self._around: list[tuple[tuple[str, ...], set[str], str]] = []
        for one in removable:
            self._mark(fusion, sizes, one)

    def _mark(self, fusion: Fusion, sizes: Sizes, one: Removable) -> None:
        own = {id(tensor) for call in one.residual.calls for tensor in call.outputs}
        left: Step | None = None
        summing: set[str] = set()
        for step in list(fusion.steps):
            written = [{id(tensor) for tensor in call.outputs} for call in step.calls]
            if not written[0] & own:
                continue
            step.inside = one.units
            ends = any(id(one.residual.total) in outputs for outputs in written)
            if ends or any(id(call) == id(step.calls[0]) for call in one.residual.behind):
                summing.add(step.name)
            if ends and not written[-1] & own:
                left = _left(step, sizes, one)
                fusion.steps.insert(fusion.steps.index(step) + 1, left)
        self._around.append(
            (one.units, summing, left.name if left else self._names[id(one.residual.shortcut)])
        )

    def names_at(self, widths: Mapping[str, int]) -> Mapping[int, str]:
        """The tensor that is read at some widths under the identity of each recorded one."""
        detours = {
            name: way for units, summing, way in self._around if not widths[units[0]] for name in summing
        }
        if not detours:
            return self._names

        def resolved(name: str) -> str:
            while name in detours:
                name = detours[name]
            return name

        return {identity: resolved(name) for identity, name in self._names.items()}


def _left(step: Step, sizes: Sizes, one: Removable) -> Step:
    """What a runtime computes along with a sum, alone."""
    channels, (height, width) = step.channels, step.out_size
    activation = step.spec.activation
    spec = OperatorSpec(
        "activation", channels.full, channels.full, height=height, width=width, activation=activation
    )
    forms = {"c_in": channels, "c_out": channels} if channels.terms else {}
    return replace(
        step,
        name=f"{step.name}/{activation}",
        spec=spec,
        forms=forms,
        inputs=[one.residual.shortcut],
        instead=True,
        _known={},
    )
