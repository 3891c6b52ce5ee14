"""Which whole numbers the code of a module reads while it runs."""

from __future__ import annotations

import copy

from torch import nn

from hwtickets.errors import HwticketsError
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.recorder import record

#: A number by the module that keeps it and its name there.
Number = tuple[str, str]


def numbers_read(model: HostedNetwork) -> set[Number]:
    """The attributes that are whole numbers and are read in a forward pass, those of torch's layers aside.

    Args:
        model: Without weights, at full widths; left as it is.

    Returns:
        Them; none where the network does not run while it is watched, as one may that asks for the very class
        of a part.
    """
    seen: set[Number] = set()
    watched = copy.deepcopy(model)
    for name, part in watched.named_modules():
        if not type(part).__module__.startswith("torch.nn."):
            part.__class__ = _watched(type(part), name, seen)
    try:
        record(watched, model.input_shape, follow=False)
    except HwticketsError:
        return set()
    return seen


def _watched(kind: type[nn.Module], name: str, seen: set[Number]) -> type[nn.Module]:
    def read(self: nn.Module, key: str) -> object:
        value = kind.__getattribute__(self, key)
        if type(value) is int:
            seen.add((name, key))
        return value

    return type(kind.__name__, (kind,), {"__getattribute__": read})
