"""The files that tables are imported from: read whole, limited in size, and never believed."""

from __future__ import annotations

import io
import json
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import Any

from hwtickets.errors import HwticketsError
from hwtickets.files import reading, sha256_of

#: More than any table of measurements holds; what is larger is damage, or meant to fill the memory.
_MOST_BYTES = 128 * 2**20
_WHAT = "file of measurements"
#: An operator takes between 1 ns and 100 s; anything else is damage or another unit.
_LATENCY_RANGE_MS = (1e-6, 1e5)


@dataclass(frozen=True)
class Source:
    """A file.

    Attributes:
        path: Where it is.
        data: Its content; unpacked if it was packed with gzip.
        sha256: Of the file as it is on the disk.
    """

    path: Path
    data: bytes
    sha256: str

    def text(self) -> str:
        """The content as UTF-8.

        Raises:
            HwticketsError: It is something else.
        """
        try:
            return self.data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = self.data.count(b"\n", 0, error.start) + 1
            raise self.fault("it is no UTF-8 text", line) from error

    def json(self, text: str | None = None, line: int | None = None) -> Any:
        """The JSON value of the content, or of a part of it.

        Args:
            text: The part; the whole content if None.
            line: Where the part is.

        Raises:
            HwticketsError: It is not JSON, has a key twice or is nested too deeply.
        """
        whole = self.text() if text is None else text
        try:
            # Names of layers may hold control characters, which TensorRT writes as they are.
            return json.loads(whole, object_pairs_hook=_unique, strict=False)
        except _DuplicateKeyError as error:
            key = json.dumps(str(error))
            lines = [number for number, entry in enumerate(whole.splitlines(), 1) if key in entry]
            last = lines[-1] if lines else None
            raise self.fault(f"the key '{error}' is there twice", line or last) from error
        except json.JSONDecodeError as error:
            raise self.fault(f"it is not JSON ({error.msg})", line or error.lineno) from error
        except RecursionError as error:
            raise self.fault("it is nested too deeply", line) from error
        except ValueError as error:
            raise self.fault(f"it is not JSON ({error})", line) from error

    def fault(self, reason: str, line: int | None = None) -> HwticketsError:
        """The error for a damaged or foreign file, to be raised by the caller."""
        where = f"{self.path}, line {line}" if line else str(self.path)
        return HwticketsError(f"{where}: {' '.join(reason.split()):.400}; nothing was imported")

    def milliseconds(self, value: object, what: str, line: int | None = None) -> float:
        """A latency, checked.

        Args:
            value: In ms.
            what: What took that long, for the message.
            line: Where it is said.

        Raises:
            HwticketsError: It is not a number of milliseconds that an operator can take; 0 is.
        """
        ms = number(value)
        if ms is None or not (ms == 0 or _LATENCY_RANGE_MS[0] <= ms <= _LATENCY_RANGE_MS[1]):
            shown = "missing" if value is None else f"{value!r:.40}"
            raise self.fault(f"the latency of {what:.200} is {shown}, not a number of milliseconds", line)
        return ms


def read_source(path: Path) -> Source:
    """Reads a file.

    Raises:
        HwticketsError: It is missing, too large, empty, or a damaged gzip file.
    """
    with reading(path, _WHAT):
        size_bytes = path.stat().st_size
        data = b"" if size_bytes > _MOST_BYTES else path.read_bytes()
    plain = _unpacked(path, data) if data[:2] == b"\x1f\x8b" else data
    if size_bytes > _MOST_BYTES or len(plain) > _MOST_BYTES:
        raise HwticketsError(
            f"{path}: it holds more than {_MOST_BYTES >> 20} MiB, more than any table; nothing was imported"
        )
    if not plain.strip():
        raise HwticketsError(f"{path}: it is empty; nothing was imported")
    return Source(path, plain, sha256_of(data))


def number(value: object) -> float | None:
    """A finite number, or None for anything else; texts and truth values are not numbers."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole_numbers(value: object, count: int) -> list[int] | None:
    """A list of `count` positive whole numbers, or None for anything else."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != count:
        return None
    good = all(isinstance(entry, int) and not isinstance(entry, bool) and entry > 0 for entry in value)
    return list(value) if good else None


def without_trailing_commas(text: str) -> str:
    """JSON without the commas before a closing bracket, which torch_tensorrt writes."""
    return re.sub(r",(?=\s*[}\]])", "", text)


class _DuplicateKeyError(Exception):
    """A JSON object names a key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _DuplicateKeyError(name)
        found[name] = value
    return found


def _unpacked(path: Path, data: bytes) -> bytes:
    """At most one byte more than is allowed, so that a small file cannot fill the memory."""
    try:
        with GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(_MOST_BYTES + 1)
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise HwticketsError(
            f"{path}: its gzip packing is damaged ({error}); nothing was imported"
        ) from error
