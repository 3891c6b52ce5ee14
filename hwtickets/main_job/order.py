"""What is to be delivered: budgets, prices, and where the network is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwtickets.search.mixed_prices import MixedPrices
from hwtickets.search.points import DrawPoint
from hwtickets.search.shrinking import Pricing
from hwtickets.search.space_profile import SpaceProfile
from hwtickets.tables import LatencyTable


@dataclass(frozen=True)
class Order:
    """What is to be delivered.

    Attributes:
        pricing: Space, costs, budgets and the price that is paid in.
        point: Where to draw from.
        profile: Costs of the dense network.
        table: The latency table behind the prices.
        state: State folder of the search.
        folder: Gets `ticket/`, `bundle/` and `delivery.json`.
        suffix: Appended to the names of the stages, e.g. " by macs".
        steps: Training steps of the drawn network; None for those of the recipe.
        mixed: Prices in every precision, where precisions are drawn.
    """

    pricing: Pricing
    point: DrawPoint
    profile: SpaceProfile
    table: LatencyTable
    state: Path
    folder: Path
    suffix: str = ""
    steps: int | None = None
    mixed: MixedPrices | None = None
