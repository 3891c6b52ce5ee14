"""Pickles of plain data (numbers, texts, lists, dicts, NumPy arrays), read without running what they ask for.

A pickle may name any function to be called. Here it gets harmless stand-ins for what NumPy's arrays and
numbers are written with, and nothing else; the values are rebuilt afterwards from the bytes that the
stand-ins were given. The opcodes are looked at before: some let a few bytes ask for gigabytes of memory.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from hwtickets.errors import HwticketsError
from hwtickets.tables.importers.sources import Source

#: Little-endian numbers, as NumPy writes their type into a pickle.
_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
#: Everything that plain data, its arrays included, is written with up to protocol 4. Left out on purpose:
#: objects of classes (INST, OBJ, NEWOBJ, NEWOBJ_EX), what lies outside the file (PERSID, EXT1, NEXT_BUFFER),
#: and BYTEARRAY8, which reserves memory before it looks for the bytes.
_OPCODES = (
    "APPEND APPENDS BINBYTES BINBYTES8 BINFLOAT BINGET BININT BININT1 BININT2 BINPUT BINSTRING BINUNICODE"
    " BINUNICODE8 BUILD DICT EMPTY_DICT EMPTY_LIST EMPTY_TUPLE FLOAT FRAME GET GLOBAL INT LIST LONG LONG1"
    " LONG4 LONG_BINGET LONG_BINPUT MARK MEMOIZE NEWFALSE NEWTRUE NONE POP POP_MARK PROTO PUT REDUCE"
    " SETITEM SETITEMS SHORT_BINBYTES SHORT_BINSTRING SHORT_BINUNICODE STACK_GLOBAL STOP STRING TUPLE"
    " TUPLE1 TUPLE2 TUPLE3 UNICODE"
)
_PLACES = frozenset(["BINPUT", "LONG_BINPUT", "PUT"])


class _NumberType:
    """Stands for numpy.dtype; remembers the code that it was made from."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code.decode("latin-1") if isinstance(code, bytes) else code

    def __setstate__(self, state: Any) -> None:
        if state[1] not in ("<", "|", b"<", b"|"):
            raise ValueError("numbers that are not little-endian")

    def numpy(self) -> np.dtype[Any]:
        if self.code not in _NUMBERS:
            raise ValueError(f"an array of {self.code}")
        return np.dtype(f"<{self.code}")


class _Array:
    """Stands for numpy.ndarray; remembers what it would have been filled with."""

    def __init__(self, *_: object) -> None:
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def plain(self) -> Any:
        _, _, kind, _, content = self.state
        return _only(content, kind)


class _Number:
    """Stands for a NumPy number, which is written as its type and its bytes."""

    def __init__(self, kind: Any, content: Any) -> None:
        self.kind, self.content = kind, content

    def plain(self) -> Any:
        return _only(self.content, self.kind)


class _Encode:
    """Stands for _codecs.encode, by which Python 3 writes bytes in the old protocols."""

    # Without a dictionary of its own a pickle cannot change it.
    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if encoding != "latin1":
            raise ValueError(f"encoding {encoding}")
        return text.encode("latin-1")


def _only(content: Any, kind: _NumberType) -> Any:
    values = np.frombuffer(content, kind.numpy())
    if values.size != 1:
        raise ValueError(f"{values.size} numbers where there should be one")
    return values[0].item()


_STAND_INS: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Number for core in ("core", "_core")},
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _NumberType,
    ("_codecs", "encode"): _Encode(),
}


class _ForbiddenError(Exception):
    """The pickle holds more than data."""


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise _ForbiddenError(f"{module}.{name}") from None


def load_plain(source: Source) -> Any:
    """The value in a pickle; NumPy's numbers in it become plain with `plain`.

    Raises:
        HwticketsError: It is damaged, or holds anything but plain data; says what.
    """
    try:
        _inspect(source.data)
        return _PlainUnpickler(io.BytesIO(source.data), encoding="latin1").load()
    except _ForbiddenError as error:
        raise HwticketsError(
            f"{source.path} was refused: its pickle asks for {error}, which tables never need; nothing of it"
            " was run"
        ) from error
    except Exception as error:  # A damaged pickle can fail in any way; it has run nothing but the stand-ins.
        raise source.fault(f"its pickle is damaged ({type(error).__name__}: {error})") from error


def plain(source: Source, value: Any) -> Any:
    """A value of a pickle with NumPy's numbers, and arrays of one, turned into Python's.

    Raises:
        HwticketsError: An array is damaged, or holds anything but one number.
    """
    if not isinstance(value, (_Array, _Number)):
        return value
    try:
        return value.plain()
    except Exception as error:  # The state of an array is whatever the pickle said.
        raise source.fault(f"an array in its pickle is damaged ({error})") from error


def _inspect(data: bytes) -> None:
    """Refuses what plain data does not need."""
    allowed = frozenset(_OPCODES.split())
    for count, (opcode, argument, _) in enumerate(pickletools.genops(data), 1):
        if opcode.name not in allowed:
            raise _ForbiddenError(f"the opcode {opcode.name}")
        # Its memory grows to the largest number of a place, whether the others are used or not.
        if opcode.name in _PLACES and isinstance(argument, int) and argument > count:
            raise ValueError(f"it counts {argument} values before there are so many")
