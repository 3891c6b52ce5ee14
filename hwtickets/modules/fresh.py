"""New random weights for a network that came with weights of its own."""

from __future__ import annotations

from torch import nn

from hwtickets.errors import UsageError
from hwtickets.modules.calls import body_name
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.live import KIND
from hwtickets.supernets.base import Supernet


def draw_anew(model: Supernet) -> None:
    """Initialises a freshly built network as its layers do it, in place; our own supernets are new anyway.

    Parameters that a user's module owns itself (tokens, positions) stay as its builder made them.

    Raises:
        UsageError: Nobody can build them anew: the module lives in this process alone, trained.
    """
    if not isinstance(model, HostedNetwork):
        return
    for name, module in model.named_modules():
        if callable(getattr(module, "reset_parameters", None)):
            module.reset_parameters()
        elif str(model.sizes["reference"]).startswith(f"{KIND}:"):
            _require_nothing(name, module)


def _require_nothing(name: str, module: nn.Module) -> None:
    own = [parameter for parameter, _ in module.named_parameters(recurse=False)]
    if own:
        raise UsageError(
            f"{body_name(f'{name}.{own[0]}')} cannot be initialised anew, so nothing is trained from scratch;"
            " search by a reference such as --module mynets.small:build, or choose another recipe or pipeline"
        )
