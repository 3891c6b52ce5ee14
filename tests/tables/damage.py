"""Ways in which a file can be damaged, each a function of the content and a random generator."""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_ODD_NUMBERS = [
    *(b"nan", b"NaN", b".nan", b"-1", b"-0.0", b"inf", b"Infinity", b"-inf", b"1e999", b"1e308", b"1e-320"),
    *(b"0", b"", b"1e9", b"true", b"null", b"'1'", b'"1"', b"1,5", b"0x10", b"1_000", b"\xd9\xa1"),
    b"9" * 30,
    b"9" * 5000,
]
_ODD_TEXTS = [
    *(
        b"\x00",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\r",
        b"\t",
        b'"',
        b"'",
        b"\\",
        b"#",
        b":",
    ),
    *(
        b",",
        b"{",
        b"}",
        b"[",
        b"]",
        b"&a ",
        b"*a",
        b"!!python/object/apply:os.system ['true']",
        b"<<: ",
        b"---\n",
    ),
    *(b"...\n", b"%YAML 9\n", b"? ", b"| ", b"\x1e", b"2020-99-99", b"!!binary x", b"!!float x", b"!!int x"),
    *(b"[" * 50_000, b"{" * 3000, b'{"a":' * 3000, b"- " * 3000, b"((((" * 3000),
]


def flip_bits(data: bytes, random: np.random.Generator) -> bytes:
    """One to eight bits are the other way round."""
    changed = bytearray(data)
    for _ in range(int(random.integers(1, 9))):
        changed[random.integers(len(changed))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def flip_digit(data: bytes, random: np.random.Generator) -> bytes:
    """A digit is another one."""
    places = [place.start() for place in re.finditer(rb"\d", data)] or [0]
    place = int(random.choice(places))
    return data[:place] + str(int(random.integers(10))).encode() + data[place + 1 :]


def truncate(data: bytes, random: np.random.Generator) -> bytes:
    """The end is missing; sometimes everything."""
    return data[: random.integers(len(data))]


def cut_out(data: bytes, random: np.random.Generator) -> bytes:
    """Some bytes in the middle are missing."""
    begin = int(random.integers(len(data)))
    return data[:begin] + data[begin + int(random.integers(1, 60)) :]


def repeat(data: bytes, random: np.random.Generator) -> bytes:
    """Some bytes are there twice."""
    begin = int(random.integers(len(data)))
    end = begin + int(random.integers(1, 200))
    return data[:end] + data[begin:]


def delete_line(data: bytes, random: np.random.Generator) -> bytes:
    """A line is missing."""
    lines = data.splitlines(keepends=True)
    del lines[random.integers(len(lines))]
    return b"".join(lines)


def duplicate_line(data: bytes, random: np.random.Generator) -> bytes:
    """A line is there twice."""
    lines = data.splitlines(keepends=True)
    place = int(random.integers(len(lines)))
    return b"".join([*lines[: place + 1], *lines[place:]])


def swap_lines(data: bytes, random: np.random.Generator) -> bytes:
    """Two lines have changed places."""
    lines = data.splitlines(keepends=True)
    one, other = random.integers(len(lines), size=2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def swap_numbers(data: bytes, random: np.random.Generator) -> bytes:
    """Two numbers have changed places."""
    found = list(_NUMBER.finditer(data))
    if len(found) < 2:
        return flip_bits(data, random)
    one, other = (found[index] for index in sorted(random.choice(len(found), 2, replace=False)))
    middle = data[one.end() : other.start()]
    return data[: one.start()] + other[0] + middle + one[0] + data[other.end() :]


def odd_number(data: bytes, random: np.random.Generator) -> bytes:
    """A number is none, negative, endless, or of another kind."""
    return _replace_number(data, random, lambda _: _ODD_NUMBERS[random.integers(len(_ODD_NUMBERS))])


def other_unit(data: bytes, random: np.random.Generator) -> bytes:
    """A number is a thousand or a million times larger or smaller."""
    factor = float(random.choice([1e-6, 1e-3, 1e3, 1e6, -1.0]))
    return _replace_number(data, random, lambda text: repr(float(text) * factor).encode())


def insert(data: bytes, random: np.random.Generator) -> bytes:
    """Something that does not belong there: control characters, other encodings, magic of YAML, nesting."""
    place = int(random.integers(len(data) + 1))
    return data[:place] + _ODD_TEXTS[random.integers(len(_ODD_TEXTS))] + data[place:]


def overwrite(data: bytes, random: np.random.Generator) -> bytes:
    """Random bytes in the middle: in a pickle other opcodes."""
    begin = int(random.integers(len(data)))
    noise = random.bytes(int(random.integers(1, 12)))
    return data[:begin] + noise + data[begin + len(noise) :]


def long_length(data: bytes, random: np.random.Generator) -> bytes:
    """Four or eight bytes that may be a length say that a lot is coming."""
    begin = int(random.integers(len(data)))
    length = struct.pack("<Q" if random.integers(2) else "<I", int(random.choice([2**31, 2**30, 2**20])))
    return data[:begin] + length + data[begin + len(length) :]


def pack_and_damage(data: bytes, random: np.random.Generator) -> bytes:
    """A gzip file with bits the other way round, or without its end."""
    packed = gzip.compress(data, mtime=0)
    return flip_bits(packed, random) if random.integers(2) else truncate(packed, random)


ANY: list[Damage] = [flip_bits, truncate, cut_out, repeat, insert, overwrite, long_length, pack_and_damage]
TEXT: list[Damage] = [
    *(flip_digit, delete_line, duplicate_line, swap_lines, swap_numbers, odd_number, other_unit),
    *ANY,
]


def _replace_number(data: bytes, random: np.random.Generator, change: Callable[[bytes], bytes]) -> bytes:
    found = list(_NUMBER.finditer(data))
    if not found:
        return flip_bits(data, random)
    match = found[random.integers(len(found))]
    return data[: match.start()] + change(match[0]) + data[match.end() :]
