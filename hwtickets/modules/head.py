"""The head of a module: the layers that make its outputs, which another task has in another number."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn

from hwtickets.errors import UsageError
from hwtickets.modules.components import components
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.labels import row_of
from hwtickets.modules.recorder import record, weightless

#: Names under which hosts keep how many outputs they have.
_OUTPUTS = ("num_classes", "n_classes", "num_labels", "n_labels", "classes")


def find_heads(model: HostedNetwork) -> list[str]:
    """The layers of a module that make its outputs.

    Args:
        model: The module, at full widths.

    Returns:
        Their names in the body; several where their outputs are summed.

    Raises:
        UsageError: The outputs come from no layers that can be replaced.
    """
    if model.structure is not None:
        raise UsageError(
            f"transfer: the network returns several tensors ({model.structure}); a head is replaced where"
            " there is one: search again from a module that returns it"
        )
    run = record(weightless(model), model.input_shape)
    (output,) = run.outputs
    channels = row_of(output.fields, 1)
    found = components(run.ties)
    made = set() if channels is None else set(found[channels].tolist())
    heads = dict.fromkeys(where for where, labels in run.producers if set(found[labels].tolist()) == made)
    layers = dict(model.body.named_modules())
    if not heads or not all(_replaceable(layers.get(where)) for where in heads):
        reference = model.sizes["reference"] or type(model.body).__name__
        raise UsageError(
            f"transfer: the head of module {reference} cannot be found: its outputs are not made by Linear or"
            " Conv2d layers alone; let one be its last layer, and search again"
        )
    return list(heads)


def replace_heads(body: nn.Module, names: Sequence[str], outputs: int) -> None:
    """Puts new layers of the same kind with other numbers of outputs in the place of some, in place.

    Args:
        body: The module.
        names: Names of the layers; nothing is done for none.
        outputs: Their outputs.

    Raises:
        UsageError: There is no such layer.
    """
    for name in names:
        try:
            old = body.get_submodule(name)
        except AttributeError as error:
            raise UsageError(f"module {type(body).__name__} has no layer {name} to be its head") from error
        parent, _, own = name.rpartition(".")
        setattr(body.get_submodule(parent), own, _renewed(old, outputs))
        _tell_hosts(body, name, len(old.weight), outputs)  # type: ignore[arg-type]


def _renewed(old: nn.Module, outputs: int) -> nn.Module:
    new = copy.deepcopy(old)
    with torch.no_grad():
        for name, tensor in list(new.named_parameters(recurse=False)):
            setattr(new, name, nn.Parameter(tensor.new_empty(outputs, *tensor.shape[1:])))
    size = "out_features" if isinstance(new, nn.Linear) else "out_channels"
    setattr(new, size, outputs)
    new.reset_parameters()  # type: ignore[operator]
    return new


def _tell_hosts(body: nn.Module, name: str, before: int, outputs: int) -> None:
    """Corrects what the modules around a head remember of its outputs."""
    parts = name.split(".")
    for depth in range(len(parts)):
        host = body.get_submodule(".".join(parts[:depth]))
        for key in _OUTPUTS:
            if type(vars(host).get(key)) is int and vars(host)[key] == before:
                setattr(host, key, outputs)


def _replaceable(layer: nn.Module | None) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
