"""Where a drawn network comes from: its supernet, its channels in it, and what the search kept of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.modules.fresh import draw_anew
from hwtickets.modules.gates import fold_gates
from hwtickets.modules.weights import take_weights
from hwtickets.search.early import load_early
from hwtickets.search.origins import Channels
from hwtickets.space.slicing import keep_channels, resize
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import Supernet, build_supernet

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Lineage:
    """What the weights of a drawn network can be made of anew.

    Attributes:
        space: The search space.
        sizes: Sizes of the supernet.
        classes: Outputs.
        widths: Channels of the drawn network by unit.
        channels: Which channel of the supernet each of them was, by unit.
        state: State folder of the search; None where nobody knows it.
    """

    space: SearchSpace
    sizes: dict[str, Any]
    classes: int
    widths: dict[str, int]
    channels: Channels
    state: Path | None

    def fresh(self, seed: int) -> Weights:
        """New random weights of the drawn network's shapes."""
        torch.manual_seed(seed)
        model = self._supernet()
        draw_anew(model)
        resize(model, self.space.units.values(), self.widths)
        return model.state_dict()

    def rewound(self, which: str) -> tuple[Weights, int]:
        """The weights that the network's channels had early in the search, and after how many steps.

        Args:
            which: `early.INIT` or `early.EARLY`.

        Raises:
            HwticketsError: The run is not known, or kept no such weights, or others.
        """
        if self.state is None:
            raise HwticketsError(
                "the run that this ticket was drawn from is not above its folder; name it with --run"
            )
        found = {name: len(numbers) for name, numbers in self.channels.items()}
        if found != {name: width for name, width in self.widths.items() if width}:
            raise HwticketsError(
                "the ticket does not say which channels of the supernet it holds, so it cannot be rewound;"
                " draw it again from a new search"
            )
        weights, step = load_early(self.state, which)
        model = self._supernet()
        try:
            take_weights(model, self.space.units.values(), weights)
        except RuntimeError as error:
            raise HwticketsError(
                f"{self.state}: its search was of another supernet than the ticket"
            ) from error
        units, gone = self.space.units, torch.empty(0, dtype=torch.long)
        keep_channels(model, units.values(), {name: self.channels.get(name, gone) for name in units})
        fold_gates(model, units.values())
        return model.state_dict(), step

    def _supernet(self) -> Supernet:
        return build_supernet(self.space.name, self.space.input_shape, self.classes, self.sizes)
