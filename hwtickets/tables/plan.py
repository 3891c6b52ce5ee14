"""What is measured for a table, and for what."""

from __future__ import annotations

from hwtickets.space.operators import OperatorGraph
from hwtickets.tables.sampling import Space, corner_networks, sampled_networks, space_id

#: Networks that the operators are fitted on at most, for each unit of the space. More than this gained
#: nothing (60 networks for 15 units: median error 1.8 %, 200: 1.4 %, 300: 1.4 %).
_NETWORKS_A_UNIT = 14
#: Networks that are measured before the errors of predictions decide which ones follow.
_FIRST_NETWORKS = 20
#: Networks that may follow, and networks whose predictions are looked at to choose them.
_CANDIDATES = 400
_SAMPLE = 150
_CALIBRATION_NETWORKS = 30
_CHECK_NETWORKS = 30
_PROFILED_NETWORKS = 12


class Plan:
    """Networks of a space by purpose; those for calibration and check are random and play no part elsewhere.

    Args:
        space: The search space.
        alignment: Widths are those that are allowed at this alignment.
        seed: Of the choice of networks.
        networks: How many networks the operators are fitted on at most, besides the largest ones; by default
            14 for each unit.

    Attributes:
        reference: Timed along with every batch.
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
        self.most = len(corners) + (networks or _NETWORKS_A_UNIT * len(space.units))
        sizes = (_FIRST_NETWORKS, _CALIBRATION_NETWORKS, _CHECK_NETWORKS, _CANDIDATES, _SAMPLE)
        first, self.calibration, self.check, candidates, self.sample = (
            sampled_networks(space, alignment, count, seed=len(sizes) * seed + part)
            for part, count in enumerate(sizes)
        )
        self.reference = corners[0]
        self.corners = len(corners)
        self.pool: list[OperatorGraph] = [*corners, *first, *candidates]
        self.first = min(self.most, len(corners) + len(first))
        self.profiled = self.pool[: min(_PROFILED_NETWORKS, self.first)]
        self.key = {
            "space": space.name,
            "space_id": space_id(space),
            "input_shape": list(space.input_shape),
            "alignment": alignment,
            "seed": seed,
            "most_networks": self.most,
            "calibration_networks": len(self.calibration),
            "check_networks": len(self.check),
        }

    @property
    def total(self) -> int:
        """How many measurements and profiles there are at most."""
        return len(self.profiled) + self.most + len(self.calibration) + len(self.check)
