"""A ticket of a network of the zoo: drawn, cut out, compared with the masked network, exported, run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.architectures import Architecture
from hwtickets.costs import AdditiveCost
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.space import ModuleSpace
from hwtickets.runtimes import load
from hwtickets.space.layout import layouts
from hwtickets.space.slicing import keep_channels
from hwtickets.space.space import space_of
from hwtickets.sparsity.allocation import Allocation, allocate, best_channels
from hwtickets.sparsity.choices import price_space

#: Buffers that say what a channel's values are like, not what they are.
_STATISTICS = ("running_var",)
_IMAGES = 2


@dataclass(frozen=True)
class Hosted:
    """A network of the zoo with its space.

    Attributes:
        model: The network, its weights and statistics drawn at random.
        space: Its search space.
    """

    model: HostedNetwork
    space: ModuleSpace

    @staticmethod
    def of(architecture: Architecture, seed: int = 0) -> Hosted:
        """Builds an architecture and finds its space; norms get statistics, so that none of them is idle."""
        torch.manual_seed(seed)
        model = HostedNetwork(architecture.build().eval(), architecture.input_shape).eval()
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() == 1:
                    weight.add_(0.2 * torch.randn_like(weight))
            for name, tensor in model.named_buffers():
                if name.endswith(("running_mean", "running_var")):
                    tensor.add_(0.2 * torch.rand_like(tensor))
        space = space_of(model, "module")
        assert isinstance(space, ModuleSpace)
        return Hosted(model, space)

    def gone(self, widths: Mapping[str, int]) -> list[str]:
        """The residual branches that a network has lost."""
        return [name for name, units in self.space.branches.items() if not widths[units[0]]]

    def random_scores(self, seed: int = 0) -> dict[str, Tensor]:
        """A positive importance for every channel."""
        random = torch.Generator().manual_seed(seed)
        return {
            name: 0.1 + torch.rand(unit.width, generator=random) for name, unit in self.space.units.items()
        }

    def drawn(
        self, costs: Mapping[str, AdditiveCost], share: float, alignment: int, scores: Mapping[str, Tensor]
    ) -> Allocation:
        """The best network within a share of the first cost of the whole network."""
        metric, cost = next(iter(costs.items()))
        priced = price_space(self.space, costs, alignment)
        return allocate(
            priced, dict(scores), {metric: share * cost.graph(self.space.graph(self.space.dense()))}
        )

    def cut(self, kept: Mapping[str, Tensor]) -> HostedNetwork:
        """The network with some channels only."""
        model = copy.deepcopy(self.model)
        keep_channels(model, self.space.units.values(), kept)
        return model

    def masked(self, kept: Mapping[str, Tensor]) -> HostedNetwork:
        """The whole network in which all other channels are zero wherever they are made, scaled or read.

        Where a residual branch is gone, all of its weights and biases are: it adds zero.
        """
        model, units = copy.deepcopy(self.model), list(self.space.units.values())
        with torch.no_grad():
            for (module, name, dim), layout in layouts(model, units, self.space.dense()):
                tensor = getattr(model.get_submodule(module), name)
                for unit in layout.parts:
                    gone = np.setdiff1d(np.arange(self.space.units[unit].width), kept[unit].numpy())
                    if name not in _STATISTICS:
                        tensor.index_fill_(dim, torch.from_numpy(layout.places(unit)[gone].ravel()), 0.0)
            for one in units:
                if one.residual is not None and not len(kept[one.name]):
                    for part in (*one.residual.absent, *one.residual.passing):
                        for parameter in model.get_submodule(part).parameters():
                            parameter.zero_()
        return model


def kept_channels(scores: Mapping[str, Tensor], widths: Mapping[str, int]) -> dict[str, Tensor]:
    """Indices of the best channels of every unit."""
    return {name: torch.from_numpy(index) for name, index in best_channels(dict(scores), widths).items()}


def outputs(model: nn.Module, shape: tuple[int, ...]) -> Tensor:
    """What a network makes of the same random images."""
    images = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # One by one, as they are deployed.
        found: Tensor = torch.cat([model(image[None]) for image in images])
    return found


def deviation(one: Tensor, other: Tensor) -> float:
    """Largest difference as a share of the largest value; infinite where a value is not finite."""
    if not (one.isfinite().all() and other.isfinite().all()):
        return float("inf")
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-12))


def exported(model: HostedNetwork) -> tuple[bytes, float]:
    """A network as ONNX, and how far ONNX Runtime is from torch with it."""
    shape = model.input_shape
    written = export_onnx(model.body, shape)
    images = torch.randn(_IMAGES, *shape, generator=torch.Generator().manual_seed(0))
    session = load(written)
    found = [session.run({"x": image[None].numpy()})[0] for image in images]
    return written, deviation(torch.from_numpy(np.concatenate(found)), outputs(model, shape))
