"""torch's table of ONNX operators, which its exporter makes anew for every network."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def operators_read_once() -> Iterator[None]:
    """Lets the exports inside share one table in this process.

    Making it parses the sources of some 500 functions, half of what the export of a small network takes, and
    a latency table of a module exports a dozen networks. The exporter only looks operators up in it. There is
    no public door to it: where torch has moved the table, exports are as slow as they were.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        own = ONNXRegistry.__dict__["from_torchlib"]
    except (ImportError, KeyError):
        yield
        return
    shared = staticmethod(functools.partial(_made, own.__get__(None, ONNXRegistry)))
    ONNXRegistry.from_torchlib = shared  # type: ignore[method-assign]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = own  # type: ignore[method-assign]


@functools.cache
def _made(make: Any, *arguments: Any, **options: Any) -> Any:
    return make(*arguments, **options)
