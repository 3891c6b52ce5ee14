"""What is measured for a table, and for what."""

from __future__ import annotations

from collections.abc import Callable

from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.deployed import deployed_model
from hwtickets.tables.sampling import (
    ModuleSpace,
    Space,
    corner_networks,
    reference_networks,
    sampled,
    space_id,
)

#: Networks that the operators are fitted on at most, for each unit of the space. More than this gained
#: nothing (60 networks for 15 units: median error 1.8 %, 200: 1.4 %, 300: 1.4 %).
_NETWORKS_A_UNIT = 14
#: Networks that are measured before the errors of predictions decide which ones follow, for calibration and
#: for the check; networks that may follow, and networks whose predictions are looked at to choose them.
_SIZES = (20, 30, 30, 400, 150)
_PROFILED_NETWORKS = 12
#: Of a coupled space: hardly two networks share an operator, so each is profiled, and none is chosen by what
#: others leave in doubt. What lies between the rows is learnt from all of them.
_COUPLED_NETWORKS, _COUPLED_CHECKS = 36, 6


class Plan:
    """Networks of a space by purpose; those for calibration and check are random and play no part elsewhere.

    Args:
        space: The search space.
        alignment: Widths are those that are allowed at this alignment.
        seed: Of the choice of networks.
        networks: How many networks the operators are fitted on at most, besides the largest ones; by default
            14 for each unit, of a coupled space 36.

    Attributes:
        coupled: Whether the space is.
        alignment: Of the widths.
        references: Timed along with every batch.
        corners: How many networks at the beginning of the pool are the largest one, in each form.
        pool: Networks that the operators may be fitted on.
        first: How many of them are measured in any case, from the first on: the corners, and a Latin
            hypercube in which every unit takes widths all over its range.
        sample: Random networks that are never measured.
        most: How many of the pool are measured at most.
        profiled: Networks whose operators are profiled.
        calibration: Networks for the calibration.
        check: Networks for the stated error.
        key: Equal for plans whose measurements are interchangeable.
    """

    def __init__(self, space: Space, alignment: int, seed: int, networks: int | None = None) -> None:
        corners = corner_networks(space)
        sizes, profiled = _SIZES, _PROFILED_NETWORKS
        fitted = networks or _NETWORKS_A_UNIT * len(space.units)
        if space.coupled:
            fitted = networks or _COUPLED_NETWORKS
            sizes, profiled = (fitted, _COUPLED_CHECKS, _COUPLED_CHECKS, 0, 0), len(corners) + fitted
        self.coupled, self.alignment = space.coupled, alignment
        parts = [
            sampled(space, alignment, count, seed=len(sizes) * seed + part)
            for part, count in enumerate(sizes)
        ]
        first, self.calibration, self.check, candidates, self.sample = (
            [space.graph(drawn.widths, drawn.forms) for drawn in part] for part in parts
        )
        self._space, self._timed = space, [*parts[1], *parts[2]]
        self.most = len(corners) + fitted
        self.references = reference_networks(space, alignment)
        self.corners = len(corners)
        self.pool: list[OperatorGraph] = [*corners, *first, *candidates]
        self.first = min(self.most, len(corners) + len(first))
        self.profiled = self.pool[: min(profiled, self.first)]
        self.key = {
            "space": space.name,
            "space_id": space_id(space),
            "input_shape": list(space.input_shape),
            "alignment": alignment,
            "seed": seed,
            "most_networks": self.most,
            "calibration_networks": len(self.calibration),
            "check_networks": len(self.check),
            "reference_networks": len(self.references),
            "compared": "turn by turn",
        }

    @property
    def write(self) -> Callable[[int], bytes] | None:
        """Gives the model of a network for calibration or check by its place; None: its operators alone.

        Of a module it is what export writes, so that whatever its operators do not say is calibrated away.
        """
        space = self._space
        if not isinstance(space, ModuleSpace):
            return None
        return lambda place: deployed_model(space, space.input_shape, self._timed[place].widths)

    @property
    def total(self) -> int:
        """How many measurements and profiles there are at most."""
        return len(self.profiled) + self.most + len(self.calibration) + len(self.check)
