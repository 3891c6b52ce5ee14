"""How layers with weights carry labels: convolutions, matrix products, norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.modules.labels import Field, Ties, along, axes_of, off_axes, on_axis, row_of

#: Why the places of a kernel are never removed.
KERNEL = "a kernel keeps its size"


@dataclass(frozen=True)
class Laid:
    """A tensor on its way through the network: its shape and labels."""

    shape: tuple[int, ...]
    fields: tuple[Field, ...]

    @property
    def dims(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


def convolution(
    ties: Ties, x: Laid, weight: Laid, bias: Laid | None, transposed: bool, groups: int
) -> tuple[Field, ...]:
    """Labels of a convolution's output; grouped ones lose whole groups or the same channels of each.

    Whichever leaves more choices: groups where they are as many as the channels inside of one, as in
    depthwise convolutions, else channels.
    """
    ties.freeze([f for f in weight.fields if axes_of(f)[0] > 1], KERNEL)
    out_axis, in_axis = (1, 0) if transposed else (0, 1)
    if transposed and groups > 1:
        return _transposed_groups(ties, x, weight, bias, groups)
    out, inside = row_of(weight.fields, out_axis), row_of(weight.fields, in_axis)
    taken = row_of(x.fields, 1)
    if taken is None:
        ties.freeze(on_axis(x.fields, 1), "channels and places are mixed before a convolution")
    ties.freeze([f for f in x.fields if max(axes_of(f)) > 1], "a convolution slides over it")
    if groups == 1:
        _contract(ties, taken, inside)
    elif goes_by_group(groups, x.shape[1]):
        out = _by_group(ties, taken, out, inside, groups)
    else:
        _inside_groups(ties, taken, out, inside, groups)
    if out is None:
        return ()
    if bias is not None and bias.fields:
        ties.tie(out, bias.fields[0])
    return ties.settle([along(out, 1, x.dims)])


def goes_by_group(groups: int, channels: int) -> bool:
    """Whether a grouped convolution loses whole groups, rather than channels inside of each."""
    return groups >= channels // groups


def _contract(ties: Ties, one: Field | None, other: Field | None) -> None:
    if one is not None and other is not None:
        ties.tie(one, other)
        return
    ties.freeze([row for row in (one, other) if row is not None], "multiplied by a tensor of a fixed size")


def _by_group(
    ties: Ties, taken: Field | None, out: Field | None, inside: Field | None, groups: int
) -> Field | None:
    """Input and output channels of one group go together."""
    if inside is not None:
        ties.freeze([inside], "the channels of one group of a convolution stay together")
    if out is None:
        return None
    by_group = out.reshape(groups, -1)
    ties.tie(by_group, by_group[:, :1])
    if taken is None:
        ties.freeze([out], "each group reads channels of a fixed number")
        return out
    ties.tie(taken.reshape(groups, -1), by_group[:, :1])
    return out


def _inside_groups(
    ties: Ties, taken: Field | None, out: Field | None, inside: Field | None, groups: int
) -> None:
    """The same channels of every group go together; input and output are free of each other."""
    if taken is not None and inside is not None:
        ties.tie(taken.reshape(groups, -1), inside[None])
    else:
        _contract(ties, taken, inside)
    if out is not None:
        by_group = out.reshape(groups, -1)
        ties.tie(by_group, by_group[:1])


def _transposed_groups(
    ties: Ties, x: Laid, weight: Laid, bias: Laid | None, groups: int
) -> tuple[Field, ...]:
    """Grouped transposed convolutions: depthwise ones go by channel, others stay."""
    taken, rows = row_of(x.fields, 1), row_of(weight.fields, 0)
    if taken is None or rows is None or groups != x.shape[1] or weight.shape[1] != 1:
        ties.freeze([*x.fields, *weight.fields], "a grouped transposed convolution")
        return ()
    ties.tie(taken, rows)
    if bias is not None and bias.fields:
        ties.tie(rows, bias.fields[0])
    return (along(rows, 1, x.dims),)


def product(ties: Ties, one: Laid, other: Laid) -> tuple[Field, ...]:
    """Labels of a (batched) matrix product.

    What is summed over goes together in both factors. Where it lies in several matrices (heads), each matrix
    stays whole.
    """
    inner, dims = one.dims - 1, one.dims
    left, right = on_axis(one.fields, inner), on_axis(other.fields, inner - 1)
    ties.freeze([f for f in left if f.shape[inner - 1] > 1], "rows and columns of a product are mixed")
    ties.freeze([f for f in right if f.shape[inner] > 1], "rows and columns of a product are mixed")
    summed = [np.swapaxes(labels, inner, inner - 1) for labels in left]
    heads: list[Field] = []
    if not summed or not right:
        ties.freeze([*summed, *right], "multiplied by a tensor of a fixed size")
    for labels in summed:
        for partner in right:
            ties.tie(labels, partner)
    for labels in [*summed, *right]:
        if labels.shape[0] > 1 and dims > 2:
            whole = labels[:, :1, :1]
            ties.tie(labels, whole)
            heads.append(whole)
    result: list[Field] = []
    free = [*heads, *off_axes(one.fields, [inner]), *off_axes(other.fields, [inner - 1])]
    for labels in free:
        for known in result:
            if any(a > 1 and b > 1 for a, b in zip(labels.shape, known.shape, strict=True)):
                ties.tie(labels, known)
        result.append(labels)
    return ties.settle(_widest(result))


def _widest(fields: Sequence[Field]) -> list[Field]:
    """Of fields that lie on the same dimensions, those on the most of them."""
    kept: list[Field] = []
    for labels in sorted(fields, key=lambda labels: -len(axes_of(labels))):
        if not any(set(axes_of(labels)) & set(axes_of(known)) for known in kept):
            kept.append(labels)
    return kept


def channel_norm(ties: Ties, x: Laid, others: Sequence[Laid], over_places: bool) -> tuple[Field, ...]:
    """A norm with one scale a channel (batch norm, instance norm)."""
    if over_places:
        ties.freeze([f for f in x.fields if axes_of(f) != [1]], "a norm averages over it")
    for other in others:
        row = row_of(x.fields, 1)
        if other.fields and row is not None:
            ties.tie(row, other.fields[0])
        elif other.fields:
            ties.freeze(other.fields, "a norm of channels of a fixed number")
    return x.fields


def layer_norm(ties: Ties, x: Laid, others: Sequence[Laid], length: int) -> tuple[Field, ...]:
    """A norm over the last dimensions: without one channel all the others would change."""
    own = [labels for labels in x.fields if max(axes_of(labels)) >= x.dims - length]
    ties.freeze(own, "LayerNorm averages over these channels, so without one all the others change")
    for other in others:
        ties.freeze(
            other.fields, "LayerNorm averages over these channels, so without one all the others change"
        )
    return x.fields


def group_norm(ties: Ties, x: Laid, others: Sequence[Laid], groups: int) -> tuple[Field, ...]:
    """A norm over groups of channels: whole groups go."""
    row = row_of(x.fields, 1)
    if row is None:
        ties.freeze([*x.fields, *(f for other in others for f in other.fields)], "a norm averages over it")
        return x.fields
    by_group = row.reshape(groups, -1)
    ties.tie(by_group, by_group[:, :1])
    for other in others:
        if other.fields:
            ties.tie(row, other.fields[0])
    if groups == 1:
        ties.freeze([row], "GroupNorm averages over all channels, so without one all the others change")
    return x.fields
