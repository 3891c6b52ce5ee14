"""Which sizes of a supernet can be built."""

from __future__ import annotations

from collections.abc import Sequence

from hwtickets.errors import UsageError
from hwtickets.supernets.presets import Stage

#: Inputs up to this side, in pixels, count as small.
SMALL_PIXELS = 64
#: A head for maps works at this part of the input's resolution.
DENSE_STRIDE = 4


def check_stages(name: str, stages: Sequence[Stage]) -> None:
    """Refuses stages that are no triples of branches, blocks and channels."""
    for stage in stages:
        branches, *lists = stage
        if len(lists) != 2 or not all(_counts(entry, branches) for entry in lists):
            raise UsageError(
                f"supernet {name}: a stage is [branches, [blocks of each], [channels of each]] of positive"
                f" numbers, got {stage}"
            )
    if not stages:
        raise UsageError(f"supernet {name}: stages is an empty list; give at least one stage")


def _counts(entry: int | Sequence[int], many: int | Sequence[int]) -> bool:
    return not isinstance(entry, int) and len(entry) == many and min(entry) > 0


def check_kernels(name: str, kernel_sizes: Sequence[int]) -> None:
    """Refuses kernels that have no middle."""
    if not kernel_sizes or any(kernel < 1 or kernel % 2 == 0 for kernel in kernel_sizes):
        raise UsageError(f"supernet {name}: kernel_sizes are odd numbers of pixels, got {list(kernel_sizes)}")


def check_least(name: str, least: int, **counts: int) -> None:
    """Refuses counts below `least`."""
    for what, count in counts.items():
        if count < least:
            raise UsageError(f"supernet {name}: {what} is a number from {least} on, got {count}")


def check_resolution(name: str, size: tuple[int, int], strides: Sequence[int], branches: int) -> None:
    """Refuses inputs whose lowest branch would be smaller than a pixel.

    Args:
        name: Of the supernet.
        size: Height and width of the inputs, in pixels.
        strides: Of the stem.
        branches: Of the trunk, each at half the resolution of the one before.
    """
    reduction = strides[0] * strides[1] * 2 ** (branches - 1)
    if min(size) < reduction:
        raise UsageError(
            f"supernet {name}: its lowest branch sees 1/{reduction} of the input's side, which is less than"
            f" one pixel of {size[0]}x{size[1]}; use inputs from {reduction} pixels on, or fewer branches"
        )
