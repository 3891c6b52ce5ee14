"""A user's module as a supernet, from the sizes that a configuration or a ticket keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets.errors import UsageError, unknown
from hwtickets.modules.freezing import freeze
from hwtickets.modules.head import replace_heads
from hwtickets.modules.hosted import HostedNetwork
from hwtickets.modules.reference import TIMM, load_module, load_weights

SIZES = ("reference", "arguments", "keep", "frozen", "head", "outputs")


def build_module(
    input_shape: tuple[int, int, int], classes: int, sizes: Mapping[str, Any], checkpoint: Path | None = None
) -> HostedNetwork:
    """Builds a module by its reference and hosts it.

    Args:
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs; models of timm are built for so many unless the arguments say otherwise.
        sizes: `reference`, and perhaps `arguments` of what builds it, `keep` (names of modules), `frozen`
            (names of modules and parameters that do not learn), `head` (names of the output layers that a
            transfer has replaced, to give `classes` outputs) and `outputs` (what it returned when it was
            hosted, for those who read a ticket).
        checkpoint: File of its weights; None for those that it is built with.

    Raises:
        UsageError: A size is missing, unknown or of the wrong kind, it cannot be built, or it gives other
            outputs.
        HwticketsError: It cannot be traced, or the checkpoint does not fit.
    """
    for key in sizes:
        if key not in SIZES:
            raise unknown("size of a module", key, SIZES)
    reference, arguments = sizes.get("reference"), sizes.get("arguments", {})
    keep, frozen = sizes.get("keep", []), sizes.get("frozen", [])
    if not isinstance(reference, str):
        raise UsageError(
            "supernet module needs its reference; name it with --module package.mod:build or timm:NAME"
        )
    lists = isinstance(keep, list | tuple) and isinstance(frozen, list | tuple)
    if not isinstance(arguments, dict) or not lists:
        raise UsageError(
            "a module's arguments are a mapping, its keep and frozen are lists, e.g. arguments: {width: 32},"
            " keep: [head], frozen: [stem]"
        )
    of_timm = reference.startswith(f"{TIMM}:")
    standard = {"num_classes": classes, "in_chans": input_shape[0]} if of_timm else {}
    body = load_module(reference, {**standard, **arguments})
    freeze(body, frozen)
    heads = list(sizes.get("head", ()))
    replace_heads(body, heads, classes)
    if checkpoint is not None:
        load_weights(body, checkpoint)
    hosted = HostedNetwork(
        body, tuple(input_shape), reference=reference, arguments=dict(arguments), keep=tuple(keep)
    )
    if heads:
        hosted.sizes["head"] = heads
        hosted.head_modules = tuple(f"body.{name}" for name in heads)
    if hosted.classes != classes and hosted.structure is not None:
        raise UsageError(
            f"module {reference} returns several tensors ({hosted.structure}), the task takes one with"
            f" {classes} outputs: wrap it in a module that returns the one that counts, or search in Python"
            " with a loss and a score of your own"
        )
    if hosted.classes != classes:
        raise UsageError(
            f"module {reference} gives {hosted.classes} outputs, the task has {classes}; build it for as"
            f" many, e.g. --set num_classes={classes}"
        )
    return hosted
