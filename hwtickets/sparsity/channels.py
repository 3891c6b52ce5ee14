"""Channel counts of many networks at once, for code that computes with the channel count of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
T = TypeVar("T")


class Channels:
    """Stands for an int that differs from network to network; arithmetic is that of ints, for each of them.

    A question with one answer (`if channels > 0`) is answered only if it is the same for all of them.
    Otherwise `Undecided` tells them apart, and the code has to run again for each kind on its own: see
    `for_all`.

    Args:
        counts: One a network; shape (networks,).
    """

    def __init__(self, counts: Counts) -> None:
        self.counts = counts

    def __add__(self, other: int | Channels) -> int | Channels:
        return channels(self.counts + _counts(other))

    def __sub__(self, other: int | Channels) -> int | Channels:
        return channels(self.counts - _counts(other))

    def __rsub__(self, other: int) -> int | Channels:
        return channels(other - self.counts)

    def __mul__(self, other: int | Channels) -> int | Channels:
        return channels(self.counts * _counts(other))

    def __floordiv__(self, other: int | Channels) -> int | Channels:
        return channels(self.counts // _counts(other))

    def __mod__(self, other: int | Channels) -> int | Channels:
        return channels(self.counts % _counts(other))

    def __neg__(self) -> int | Channels:
        return channels(-self.counts)

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, other: int | Channels) -> bool:
        return _answer(self.counts < _counts(other))

    def __le__(self, other: int | Channels) -> bool:
        return _answer(self.counts <= _counts(other))

    def __gt__(self, other: int | Channels) -> bool:
        return _answer(self.counts > _counts(other))

    def __ge__(self, other: int | Channels) -> bool:
        return _answer(self.counts >= _counts(other))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, int | Channels) and _answer(self.counts == _counts(other))

    def __bool__(self) -> bool:
        return _answer(self.counts != 0)

    def __index__(self) -> int:
        # Code that needs the number itself (math.gcd, range) gets it once all networks have the same.
        raise Undecided(self.counts == self.counts[0])

    __hash__ = None  # type: ignore[assignment]


class Undecided(Exception):  # noqa: N818
    """A question about channel counts whose answer is not the same for all networks.

    Attributes:
        yes: The answers; shape (networks,), neither all true nor all false.
    """

    def __init__(self, yes: NDArray[np.bool_]) -> None:
        super().__init__("the answer is not the same for all networks")
        self.yes = yes


def channels(counts: Counts) -> int | Channels:
    """A plain int where all networks agree."""
    first = int(counts[0])
    return first if (counts == first).all() else Channels(counts)


def for_all(
    compute: Callable[[Mapping[str, int]], T], names: Sequence[str], widths: Counts
) -> list[tuple[NDArray[np.intp], T]]:
    """Runs code that is written for one network on many, once for each way through its branches.

    Args:
        compute: Gets channel counts by name.
        names: The names; columns of `widths`.
        widths: Shape (networks, names), at least one network.

    Returns:
        Indices of networks and what `compute` returned for them, `Channels` in place of its ints; every
        network is in exactly one of these groups.
    """
    groups: list[tuple[NDArray[np.intp], T]] = []
    waiting = [np.arange(len(widths))]
    while waiting:
        rows = waiting.pop()
        given = {name: channels(widths[rows, column]) for column, name in enumerate(names)}
        try:
            groups.append((rows, compute(cast("Mapping[str, int]", given))))
        except Undecided as question:
            waiting += [rows[question.yes], rows[~question.yes]]
    return groups


def _counts(value: int | Channels) -> int | Counts:
    return value.counts if isinstance(value, Channels) else value


def _answer(yes: NDArray[np.bool_]) -> bool:
    if yes.all():
        return True
    if yes.any():
        raise Undecided(yes)
    return False
