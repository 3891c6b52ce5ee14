"""Benchmarks run in this process: another one would import torch again."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from typing import NamedTuple

import pytest

from benchmarks import common


class Printed(NamedTuple):
    """What a benchmark wrote."""

    out: str
    err: str


def printed(name: str, *arguments: str, code: int = 0, **environment: str | None) -> Printed:
    """Runs `python -m benchmarks.<name>` with arguments; it has to end with that code.

    Args:
        name: The benchmark.
        arguments: As on the command line.
        code: What its process would end with.
        environment: Variables that are set while it runs; None takes one away.
    """
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", [f"{name}.py", *arguments])
        for key, value in environment.items():
            patch.delenv(key, raising=False) if value is None else patch.setenv(key, value)
        ended = _ended(name)
    print(err.getvalue(), file=sys.stderr)  # A test that fails shows it.
    assert ended == code
    return Printed(out.getvalue(), err.getvalue())


def _ended(name: str) -> object:
    try:
        common.run(import_module(f"benchmarks.{name}").main)
    except SystemExit as ended:
        return ended.code
    return 0
