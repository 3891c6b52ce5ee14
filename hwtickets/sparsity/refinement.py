"""The draw from a coupled space on its coarse widths, then on all aligned widths around what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hwtickets.sparsity.ascent import Ascent
from hwtickets.sparsity.coupled import CoupledSpace
from hwtickets.sparsity.priced_step import Array, Choice


def best_network(
    priced: CoupledSpace, worth: Sequence[Array], limits: Mapping[str, float]
) -> tuple[CoupledSpace, Choice] | None:
    """The best network within limits that is found.

    Wide units are drawn in steps of several alignments, which leaves some of a budget when few units are that
    wide: so what was found is moved on, on the aligned widths up to the next coarse ones.

    Args:
        priced: The space.
        worth: Value of the best n channels of every unit at index n.
        limits: Upper limits by metric.

    Returns:
        The network, and the space that its options are of; None where nothing keeps all limits.
    """
    choice = Ascent(priced, _values(priced, worth), limits).run()
    if choice is None:
        return None
    fine = _around(priced, choice)
    if all(np.isin(own, known).all() for own, known in zip(fine.options, priced.options, strict=True)):
        return priced, choice
    widths = [options[place] for options, place in zip(priced.options, choice, strict=True)]
    start = np.array(
        [np.flatnonzero(options == width)[0] for options, width in zip(fine.options, widths, strict=True)]
    )
    return fine, Ascent(fine, _values(fine, worth), limits).improved(start)


def _values(priced: CoupledSpace, worth: Sequence[Array]) -> list[Array]:
    return [
        known[np.minimum(options, len(known) - 1)]
        for known, options in zip(worth, priced.options, strict=True)
    ]


def _around(priced: CoupledSpace, choice: Choice) -> CoupledSpace:
    """The same space with all aligned widths up to the neighbours of a network; nothing is priced yet."""
    options = []
    for known, grain, place in zip(priced.options, priced.grains, choice, strict=True):
        near = known[max(0, place - 1) : place + 2]
        between = np.arange(0, near[-1], grain)
        between = between[between > near[0]]
        # The first option is that of a branch that is gone, where there is one.
        options.append(np.unique(np.concatenate([known[:1], near, between])))
    steps = [replace(step, table=None, met={}) for step in priced.steps]
    return replace(priced, options=options, steps=steps, _smallest={})
