"""Weights of a cut network, fitted so that its layers give what those of the uncut network give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from hwtickets.config import SearchConfig
from hwtickets.pipelines import PIPELINES
from hwtickets.search.job import Job
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
#: Rows that a layer is fitted on, places of these images: for every one of its inputs, and at most.
_ROWS_PER_INPUT, _MOST_ROWS = 64, 8192
#: How much the weights of before count where there is one row an input, in mean squares of an input; with
#: more rows less.
_RIDGE = 0.2
#: The same at least: where all inputs are zero, the weights stay.
_LEAST_RIDGE = 1e-8

Layer = nn.Conv2d | nn.Linear


class Reconstruction:
    """What the layers of an uncut network give, and the weights by which those of a cut one give the same.

    Layer by layer, in the order in which they run, the weights of a cut network are the solution of a ridge
    regression: from what comes into the layer now, the channels that are left of what it gave before the cut.
    So every layer makes up for what those before it lost, in one forward pass and without a gradient.
    Fitted are linear layers and convolutions over two dimensions, grouped and depthwise ones included. Layers
    that run more than once, are frozen, share their weights or have masked ones stay as they are.
    Source: He et al., Channel Pruning for Accelerating Very Deep Neural Networks (ICCV 2017), section 3.1,
    equation 3, and 3.2; the pull towards the weights of before is ours.

    Args:
        model: The uncut network.
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
        """
        model = network.model
        before, _ = next(model.parameters()).device, model.to(self._images.device)
        layers = dict(model.named_modules())
        masked = {name.rpartition(".")[0] for name, mask in network.masks.items() if not bool(mask.all())}
        names = [name for name in self._outputs if name in layers and name not in masked]
        hooks = [layers[name].register_forward_pre_hook(self._fitting(name, network)) for name in names]
        with _hooked(hooks), statistics_of_batches(model):
            model(self._images)
        model.to(before)

    def _fitting(self, name: str, network: CutNetwork) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        outputs, layout = self._outputs[name], self._layouts.get(name)

        def fit(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            assert isinstance(layer, Layer)
            left = outputs if layout is None else outputs[:, layout.kept(network.kept).to(outputs.device)]
            _fit(layer, _inputs_at_rows(layer, inputs[0], len(left)), left)

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
    with one_line("while layers are reconstructed", device, SMALLER_BATCHES):
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
            outputs = outputs.movedim(1, -1) if isinstance(layer, nn.Conv2d) else outputs
            outputs = outputs.flatten(0, -2)
            wanted = min(_MOST_ROWS, _ROWS_PER_INPUT * layer.get_parameter("weight")[0].numel())
            found[name] = outputs[_rows(len(outputs), wanted, outputs.device)]

        return see

    holders = Counter(id(weight) for _, weight in model.named_parameters(remove_duplicate=False))
    hooks = [
        layer.register_forward_hook(seeing(name))
        for name, layer in model.named_modules()
        if _can_be_fitted(layer) and holders[id(layer.weight)] == 1
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


def _can_be_fitted(layer: nn.Module) -> bool:
    # A subclass may compute something else, and a weight that is no parameter is made anew at every run.
    if type(layer) not in (nn.Conv2d, nn.Linear) or not isinstance(layer.weight, nn.Parameter):
        return False
    plain = isinstance(layer, nn.Linear) or (
        layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
    )
    return plain and layer.weight.requires_grad


def _rows(places: int, wanted: int, device: torch.device) -> Tensor:
    """Which places of all images a layer is fitted at: the same ones before and after the cut."""
    if places <= wanted:
        return torch.arange(places, device=device)
    chosen = torch.randperm(places, generator=torch.Generator().manual_seed(places))[:wanted]
    return chosen.to(device)


def _inputs_at_rows(layer: Layer, x: Tensor, wanted: int) -> Tensor:
    """What the outputs at the rows are made of; shape (groups, rows, inputs of a group)."""
    if isinstance(layer, nn.Linear):
        x = x.flatten(0, -2)
        return x[_rows(len(x), wanted, x.device)][None]
    kernel, stride, dilation = layer.kernel_size, layer.stride, layer.dilation
    down, right = (int(pad) for pad in layer.padding)
    x = F.pad(x, (right, right, down, down))
    height, width = (
        (x.shape[2 + axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in (0, 1)
    )
    rows = _rows(len(x) * height * width, wanted, x.device)
    image, place = rows // (height * width), rows % (height * width)
    lines = (place // width * stride[0])[:, None, None] + _taps(kernel[0], dilation[0], x)[:, None]
    columns = (place % width * stride[1])[:, None, None] + _taps(kernel[1], dilation[1], x)
    patches = x.movedim(1, -1)[image[:, None, None], lines, columns].movedim(-1, 1)
    return patches.reshape(len(rows), layer.groups, -1).transpose(0, 1)


def _taps(count: int, dilation: int, like: Tensor) -> Tensor:
    return dilation * torch.arange(count, device=like.device)


def _fit(layer: Layer, x: Tensor, y: Tensor) -> None:
    """Gives a layer the weights and the bias that make the most of its inputs.

    Args:
        layer: The layer.
        x: Inputs at some rows, shape (groups, rows, inputs of a group).
        y: Outputs as they should be, shape (rows, outputs).
    """
    groups, rows, inputs = x.shape
    y = y.reshape(rows, groups, -1).transpose(0, 1)
    mean_x, mean_y = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    x, before = x - mean_x, layer.weight.reshape(groups, -1, inputs).mT
    missing = y - mean_y - x @ before
    pull = _RIDGE / rows * x.square().sum((1, 2), keepdim=True) + _LEAST_RIDGE
    # Of the two forms of the solution the one with fewer unknowns.
    few = inputs <= rows
    squares, right = (x.mT @ x, x.mT @ missing) if few else (x @ x.mT, missing)
    found, failed = torch.linalg.solve_ex(squares + pull * torch.eye(min(inputs, rows)).to(x), right)
    after = before + (found if few else x.mT @ found)
    if bool(failed.any()) or not bool(after.isfinite().all()):
        return
    layer.weight.copy_(after.mT.reshape(layer.weight.shape))
    if layer.bias is not None:
        layer.bias.copy_((mean_y - mean_x @ after).flatten())
