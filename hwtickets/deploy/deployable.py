"""The network as it is deployed: every searching block in its chosen form, batch norms folded."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from hwtickets.modules.hosted import HostedNetwork
from hwtickets.sparsity.ticket import Ticket
from hwtickets.supernets.base import Supernet


@dataclass(frozen=True)
class Forms:
    """Deployed forms of a network's blocks.

    Attributes:
        by_block: Form by block.
        device: Name of the device that they were chosen for; "" where that is not recorded.
    """

    by_block: Mapping[str, str]
    device: str


def drawn_forms(ticket: Ticket) -> Forms:
    """The forms that the draw chose, by the table of its own device."""
    return Forms(ticket.architecture.forms, ticket.provenance.get("device", {}).get("device", ""))


def deployable(model: Supernet, forms: Mapping[str, str]) -> nn.Module:
    """An inference-only copy that computes the same; of a user's module the module itself, by its own names.

    Args:
        model: The network.
        forms: Deployed form by block; the block's first one where missing.
    """
    copied = copy.deepcopy(model).eval()
    for name, block in list(copied.searching_blocks()):
        parent, _, child = name.rpartition(".")
        copied.get_submodule(parent).register_module(child, block.deployed(forms.get(name, block.forms[0])))
    for parameter in copied.parameters():
        parameter.requires_grad_(False)
    return (copied.deployed() if isinstance(copied, HostedNetwork) else copied).eval()
