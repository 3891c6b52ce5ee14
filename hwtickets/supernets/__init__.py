"""Supernets by name."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from hwtickets.errors import UsageError, unknown
from hwtickets.supernets.base import DescribedSupernet, ParallelSum, SearchingBlock, Supernet
from hwtickets.supernets.hrnas import HRNAS, HRNASTiny
from hwtickets.supernets.mixconv import MixConvBlock
from hwtickets.supernets.mobile import Mobile

__all__ = [
    "HRNAS",
    "MODULE",
    "SUPERNETS",
    "DescribedSupernet",
    "HRNASTiny",
    "MixConvBlock",
    "Mobile",
    "ParallelSum",
    "SearchingBlock",
    "Supernet",
    "build_supernet",
    "name_of",
]

SUPERNETS: dict[str, type[DescribedSupernet]] = {"mobile": Mobile, "hrnas": HRNAS, "hrnas-tiny": HRNASTiny}
#: The name of a user's own network.
MODULE = "module"


def build_supernet(
    name: str,
    input_shape: tuple[int, int, int],
    classes: int,
    sizes: dict[str, Any],
    head: str = "classification",
    checkpoint: Path | None = None,
) -> Supernet:
    """Builds a supernet.

    Args:
        name: One of `SUPERNETS`, or `MODULE`.
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs.
        sizes: Further keyword arguments of the supernet.
        head: What the network ends in, where the sizes do not say: "classification" (one vector an image) or
            "dense" (one for every place of a map at a quarter of the resolution). A module is as it is.
        checkpoint: File of trained weights; None for untrained ones, or those that a module is built with.

    Raises:
        UsageError: Unknown name or size, or a size of the wrong kind.
        HwticketsError: The checkpoint is damaged or of another network.
    """
    if name == MODULE:
        from hwtickets.modules.building import build_module

        return build_module(input_shape, classes, sizes, checkpoint)
    supernet = _supernet(name, input_shape, classes, sizes, head)
    if checkpoint is not None:
        from hwtickets.modules.reference import load_weights

        load_weights(supernet, checkpoint)
    return supernet


def name_of(model: Supernet) -> str | None:
    """The name that a supernet is built by; None for one that has none."""
    from hwtickets.modules.hosted import HostedNetwork

    if isinstance(model, HostedNetwork):
        return MODULE
    return next((name for name, kind in SUPERNETS.items() if type(model) is kind), None)


def _supernet(
    name: str, input_shape: tuple[int, int, int], classes: int, sizes: dict[str, Any], head: str
) -> Supernet:
    if name not in SUPERNETS:
        raise unknown("supernet", name, [*SUPERNETS, MODULE])
    supernet = SUPERNETS[name]
    if head not in supernet.heads:
        others = ", ".join(other for other in SUPERNETS if head in SUPERNETS[other].heads)
        raise UsageError(f"supernet {name} has no {head} head; use one that has: {others or 'none yet'}")
    if len(supernet.heads) > 1:
        sizes = {"head": head, **sizes}
    known = [key for key in inspect.signature(supernet).parameters if key not in ("input_shape", "classes")]
    for key in sizes:
        if key not in known:
            raise unknown(f"size of supernet {name}", key, known)
    try:
        return supernet(tuple(input_shape), classes, **sizes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"supernet {name}: the sizes {sizes} do not fit together ({error})") from error
