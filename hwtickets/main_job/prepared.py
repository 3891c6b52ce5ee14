"""What is found out before training: prices, the ends of the space, and whether a budget can be kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hwtickets.budgets import format_amount
from hwtickets.costs import AdditiveCost, LatencyCost
from hwtickets.devices import device_fingerprint
from hwtickets.errors import BudgetError
from hwtickets.search.job import Job
from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.profiled import dearest_left, profiled
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import SpaceProfile, all_costs
from hwtickets.space.space import SearchSpace
from hwtickets.space.units import Unit
from hwtickets.sparsity.allocation import infeasible
from hwtickets.tables import LatencyTable


@dataclass(frozen=True)
class Prepared:
    """What the stages before training found out.

    Attributes:
        table: Prices.
        profile: Costs of the ends of the space, measured.
        limits: Budgets as numbers by metric.
        mixed: Prices in every precision, where precisions are drawn.
    """

    table: LatencyTable
    profile: SpaceProfile
    limits: dict[str, float]
    mixed: MixedPrices | None = None

    def fingerprint(self, job: Job) -> Mapping[str, str]:
        """Of the device that the latencies hold for: as it is now, else as the table was made on it."""
        if job.device.measurable:
            return device_fingerprint(job.device, job.built_at)
        return self.table.fingerprint

    def pricing(self, job: Job, price: str) -> Pricing:
        """Prices corrected to the device's present speed."""
        costs = self.mixed.lowest() if self.mixed else self._trained_costs()
        paid = price if price != "latency" or "latency" in self.limits else next(iter(self.limits), price)
        config = job.config
        return Pricing(
            job.space,
            costs,
            self.limits,
            paid,
            job.alignment,
            config.floor,
            config.shrink_by,
            config.unit_price,
        )

    def costs_of_points(self, pricing: Pricing) -> Callable[[Mapping[str, int]], dict[str, float]]:
        """What draw points cost in the precision of training, also where others are drawn.

        A mix is then drawn from the point that a draw without it would be from, and can only gain by it: by
        its price in 8 bits a point is larger, but it was trained for fewer steps.
        """
        return replace(pricing, costs=self._trained_costs()).costs_of

    def _trained_costs(self) -> dict[str, AdditiveCost]:
        return all_costs(LatencyCost(self.table, self.profile.correction))


def prepare(job: Job) -> Prepared:
    """Builds or finds the table, profiles the ends of the space, and refuses an impossible budget.

    Raises:
        BudgetError: Nothing of a module can be removed, or not in steps this large, or a budget is below the
            smallest network of the space; names the nearest feasible one.
    """
    if not job.space.units:
        layer, reason = next(iter(job.space.unprunable.items()), ("it", "it has no layers with channels"))
        raise BudgetError(
            f"{job.config.supernet.title}: none of its channels can be removed ({layer}: {reason}); deploy it"
            " as it is"
        )
    if all(_fixed(job.space, unit, job.alignment) for unit in job.space.units.values()):
        raise BudgetError(
            f"{job.config.supernet.title}: none of its layers can be narrowed in steps of {job.alignment}"
            " channels; ask for smaller ones in the file of --config, e.g."
            f" alignment: {max(1, job.alignment // 4)}"
        )
    table, profile, mixed = profiled(job)
    limits = profile.limits(job.budgets)
    for metric, limit in limits.items():
        if limit < profile.smallest[metric]:
            error = infeasible(metric, limit, profile.smallest[metric])
            raise BudgetError(f"{error}; {dearest_left(job, table, metric)}") if job.space.coupled else error
        if limit > profile.dense[metric]:
            raise BudgetError(
                f"budget {metric} {job.budgets[metric].text} is above what the dense network costs"
                f" ({format_amount(metric, profile.dense[metric])}); nothing to search, deploy it as it is"
            )
    return Prepared(table, profile, limits, mixed)


def _fixed(space: SearchSpace, unit: Unit, alignment: int) -> bool:
    """Whether a unit has one width alone, and does not vanish with its branch."""
    return not unit.residual and len(space.widths_allowed(unit.name, alignment)) == 1
