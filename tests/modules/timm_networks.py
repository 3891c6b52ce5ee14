"""timm, also beside a torch that torchvision has no build for."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.torchvision_here import declare_operators


def timm() -> Any:
    """The package; the test skips where there is none."""
    declare_operators()
    return pytest.importorskip("timm", reason="timm is not installed")
