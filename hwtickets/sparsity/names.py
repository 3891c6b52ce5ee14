"""Names of patterns as they come out of a YAML file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator


def _as_written(given: Any) -> Any:
    """`2:4` without quotes is 124 to YAML 1.1, a number to base 60."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 60:
        return f"{given // 60}:{given % 60}"
    return given


#: In the place of a pattern: the one that the device runs faster.
AUTO = "auto"
#: A pattern's name, e.g. "2:4"; what it means is `hwtickets.sparsity.patterns`' to say.
PatternName = Annotated[str, BeforeValidator(_as_written)]
