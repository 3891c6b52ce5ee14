from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.errors import HwticketsError
from hwtickets.tables.importers.pickles import load_plain, plain
from hwtickets.tables.importers.sources import Source


def source(data: bytes) -> Source:
    return Source(Path("a.pickle"), data, "")


class Evil:
    """Asks for a program to be run when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", range(5))
def test_plain_data_is_read(protocol: int) -> None:
    value = {"a": [1, 2.5, -3, None, True, 10**30], "b": {"c": ("text", b"bytes")}, "d": []}
    assert load_plain(source(pickle.dumps(value, protocol))) == value


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(7), np.array(2.5), np.array([3], dtype="u1")])
def test_numbers_of_numpy_are_read(protocol: int, value: Any) -> None:
    one = source(pickle.dumps(value, protocol))
    assert plain(one, load_plain(one)) == value.item()


@pytest.mark.parametrize("protocol", range(5))
def test_nothing_that_it_asks_for_is_run(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"fbnet": Evil(tmp_path / "ran")}, protocol)
    with pytest.raises(HwticketsError, match=r"asks for (posix|nt)\.system.*nothing of it was run"):
        load_plain(source(data))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        (OrderedDict(a=1), "collections.OrderedDict"),
        ({1, 2}, "the opcode EMPTY_SET"),
        (Path("x"), "the opcode NEWOBJ|pathlib"),
        (Exception("x"), "builtins.Exception"),
        (complex(1, 2), "builtins.complex"),
        (bytearray(b"x"), "builtins.bytearray"),
    ],
)
def test_anything_but_plain_data_is_refused_by_name(value: object, asked: str) -> None:
    with pytest.raises(HwticketsError, match=rf"refused: its pickle asks for ({asked})"):
        load_plain(source(pickle.dumps(value, 4)))


@pytest.mark.parametrize(
    "data",
    [
        # A place in the memory far beyond those in use makes it grow to that.
        b"\x80\x02]r" + struct.pack("<I", 2**31) + b".",
        b"\x80\x02]p2147483648\n.",
        # Lengths that are not there.
        b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**30) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"].",
        # Not a pickle, and one without an end.
        b"",
        b"\x80\x04",
        b"\x80\xff.",
        b"hello",
        b"\x80\x02](",
        b"\x80\x02" + b"(" * 100_000 + b".",
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"q\x00.",
    ],
)
def test_damage_and_bombs_are_one_line(data: bytes) -> None:
    with pytest.raises(HwticketsError, match=r"^a\.pickle") as caught:
        plain(source(data), load_plain(source(data)))
        raise HwticketsError("a.pickle: read as it is")
    assert "\n" not in str(caught.value)


def test_what_it_builds_cannot_change_the_reader() -> None:
    # Hands a state to the stand-in for _codecs.encode, as if it were an object with attributes.
    data = b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb."
    with pytest.raises(HwticketsError, match="its pickle is damaged"):
        load_plain(source(data))


def test_deep_nesting_is_no_crash() -> None:
    value: list[Any] = []
    for _ in range(5_000):
        value = [value]
    data = b"\x80\x02" + b"]" * 5_000 + b"a" * 4_999 + b"."
    assert isinstance(load_plain(source(data)), list)
