"""Weights of a cut network, fitted so that its layers give what those of the uncut network give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hwtickets.config import SearchConfig
from hwtickets.pipelines import PIPELINES
from hwtickets.search.job import Job
from hwtickets.search.layer_fit import Layer, can_be_fitted, fit_layer, outputs_at_rows
from hwtickets.search.points import DrawPoint
from hwtickets.search.tickets import CutNetwork, uncut_network
from hwtickets.space.layout import layouts
from hwtickets.space.space import SearchSpace
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.batchnorm import statistics_of_batches
from hwtickets.training.compute import Compute
from hwtickets.training.failures import SMALLER_BATCHES, one_line

#: Training batches that layers are fitted on, and the images that they hold together at most.
_BATCHES, _IMAGES = 8, 512
_DOING = "while layers are fitted"


class Reconstruction:
    """What the layers of an uncut network give, and the weights by which those of a cut one give the same.

    Layer by layer, in the order in which they run, the weights of a cut network are the solution of a ridge
    regression: from what comes into the layer now, the channels that are left of what it gave before the cut.
    So every layer makes up for what those before it lost, in one forward pass and without a gradient.
    Fitted are linear layers and convolutions over rows, images and volumes, grouped ones included.
    Layers that run more than once, are frozen, share their weights or have masked ones stay as they are.
    Source: He et al., Channel Pruning for Accelerating Very Deep Neural Networks (ICCV 2017), section 3.1,
    equation 3, and 3.2; the pull towards the weights of before is ours.

    Args:
        model: The uncut network; is put into evaluation mode.
        space: Its search space.
        widths: Its channels by unit.
        images: Shape (images, channels, height, width) or (images, rows, features); where the network is.
    """

    def __init__(
        self, model: nn.Module, space: SearchSpace, widths: Mapping[str, int], images: Tensor
    ) -> None:
        self._images, self._outputs = images, _outputs_of(model, images)
        self._layouts = {
            module: layout
            for (module, tensor, dim), layout in layouts(model, space.units.values(), widths)
            if (tensor, dim) == ("weight", 0)
        }

    @torch.no_grad()
    def apply(self, network: CutNetwork) -> None:
        """Fits the weights of a cut network, in place and on the device of the images.

        Its batch norms are to be recalibrated afterwards.

        Args:
            network: Cut out of the uncut one.

        Raises:
            HwticketsError: Memory ran out.
        """
        model, device = network.model, self._images.device
        home = next(model.parameters()).device
        layers = dict(model.to(device).named_modules())
        masked = {name.rpartition(".")[0] for name, mask in network.masks.items() if not bool(mask.all())}
        # Where a branch is gone, something else goes by the names of its layers.
        left = [name for name in self._outputs if isinstance(layers.get(name), Layer)]
        names = [name for name in left if name not in masked]
        hooks = [layers[name].register_forward_pre_hook(self._fitting(name, network)) for name in names]
        with one_line(_DOING, device, SMALLER_BATCHES), _hooked(hooks), statistics_of_batches(model):
            model(self._images)
        model.to(home)

    def _fitting(self, name: str, network: CutNetwork) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        outputs, layout = self._outputs[name], self._layouts.get(name)

        def fit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if not inputs:  # A call by keyword.
                return
            assert isinstance(layer, Layer)
            left = outputs if layout is None else outputs[:, layout.kept(network.kept).to(outputs.device)]
            fit_layer(layer, inputs[0], left)

        return fit


def reconstructs(config: SearchConfig) -> bool:
    """Whether the weights of a drawn network are fitted: where there are some to go on from."""
    pipeline = PIPELINES[config.pipeline]
    if pipeline.network != "valued" or pipeline.anew:
        return False
    return not pipeline.searches if config.reconstruct is None else config.reconstruct


def reconstruction_of(job: Job, point: DrawPoint) -> Reconstruction | None:
    """The reconstruction of networks that are drawn from a point; None where the search does without.

    Args:
        job: The job.
        point: Where to draw from.
    """
    config = job.config
    if not reconstructs(config):
        return None
    device = Accelerator(Compute.of(config)).device
    with one_line(_DOING, device, SMALLER_BATCHES):
        count = max(1, min(_BATCHES, _IMAGES // config.batch_size))
        images = torch.cat([job.task.calibration_batch(index) for index in range(count)])[:_IMAGES]
        model = uncut_network(point, job.space, config.supernet, job.task).to(device)
        return Reconstruction(model, job.space, point.widths, images.to(device))


@torch.no_grad()
def _outputs_of(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What every layer that can be fitted gives, by its name; shape (rows, outputs)."""
    found: dict[str, Tensor] = {}
    runs: Counter[str] = Counter()

    def seeing(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def see(layer: nn.Module, _: tuple[Tensor, ...], outputs: Tensor) -> None:
            runs[name] += 1
            found[name] = outputs_at_rows(layer, outputs)

        return see

    holders = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    hooks = [
        layer.register_forward_hook(seeing(name))
        for name, layer in model.named_modules()
        if can_be_fitted(layer) and holders[id(layer.weight)] == 1
    ]
    with _hooked(hooks):
        model.eval()(images)
    return {name: outputs for name, outputs in found.items() if runs[name] == 1}


@contextmanager
def _hooked(hooks: Sequence[RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
