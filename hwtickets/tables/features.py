"""What a runtime chooses its kernels by, as numbers: the features of an operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.roofline import roof_group

Matrix = NDArray[np.float64]

#: Kernels compute tiles of this many channels or pixels; a count just above a multiple wastes most.
_INPUT_TILES = (8, 32)
_OUTPUT_TILES = (32, 64, 128)
_PIXEL_TILES = (64, 128)
#: Whole numbers by which a runtime picks one kernel or another, whatever their size.
_CATEGORIES: tuple[Callable[[OperatorSpec], Any], ...] = (
    roof_group,
    lambda spec: (spec.kernel, spec.kernel_width),
    lambda spec: spec.height,
    lambda spec: spec.activation,
)


@dataclass(frozen=True)
class Features:
    """Numbers for operators; `Features.of` learns the categories from rows.

    Attributes:
        batch: Images at once.
        units: Multiprocessors of a GPU, which work on one tile each; 0 where that is not known.
        known: The values of each category that rows have; others count as none of them.
    """

    batch: int
    units: int
    known: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, specs: Sequence[OperatorSpec], batch: int, units: int = 0) -> Features:
        """Features that tell these operators apart."""
        values = [tuple(dict.fromkeys(category(spec) for spec in specs)) for category in _CATEGORIES]
        return cls(batch, units, tuple(values))

    @property
    def groups(self) -> list[int]:
        """For each column its group; the columns of one category share one."""
        width = len(_numbers(OperatorSpec("conv", 1, 1), 1, self.units))
        groups = list(range(width))
        for offset, values in enumerate(self.known):
            groups += [width + offset] * len(values)
        return groups

    def matrix(self, specs: Sequence[OperatorSpec]) -> Matrix:
        """(n, columns): sizes as logarithms, then the indicators of the categories."""
        columns = [np.array([_numbers(spec, self.batch, self.units) for spec in specs])]
        for category, values in zip(_CATEGORIES, self.known, strict=True):
            place = {value: position for position, value in enumerate(values)}
            where = np.array([place.get(category(spec), -1) for spec in specs])
            columns.append((where[:, None] == np.arange(len(values))).astype(float))
        return np.hstack(columns)


def _numbers(spec: OperatorSpec, batch: int, units: int) -> list[float]:
    out_h, out_w = spec.out_size
    pixels = batch * out_h * out_w
    taps = max(1, spec.c_in // spec.groups) * spec.kernel * (spec.kernel_width or spec.kernel)
    sizes = [
        spec.c_in,
        spec.c_out,
        spec.hidden or spec.c_in,
        spec.height,
        spec.width,
        spec.kernel,
        spec.stride,
        spec.groups,
        spec.dilation,
        pixels,
        taps,
        1 + spec.macs * batch,
        1 + spec.params,
        1 + (spec.bytes_moved - 4 * spec.params) * batch,
    ]
    paddings = [
        *(_padding(spec.c_in, tile) for tile in _INPUT_TILES),
        *(_padding(spec.c_out, tile) for tile in _OUTPUT_TILES),
        *(_padding(pixels, tile) for tile in _PIXEL_TILES),
    ]
    # The last wave of tiles takes as long as a full one.
    tiles = [-(-pixels // tile) * -(-spec.c_out // tile) for tile in _PIXEL_TILES] if units else []
    waves = [-(-count // units) * units / count for count in tiles]
    return [float(spec.residual), *np.log([*sizes, *paddings, *waves]).tolist()]


def _padding(count: int, tile: int) -> float:
    return -(-count // tile) * tile / count
