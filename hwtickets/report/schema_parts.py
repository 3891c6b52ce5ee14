"""What the parts of a report are made of: checked numbers, a latency, a ratio."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1)]


class Part(BaseModel):
    """A part of the report; an unknown key is an error, so that a misspelt figure cannot vanish."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(Part):
    """Percentiles over `runs` measured runs, in ms; further keys (such as the clock) are kept as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    p50: Amount
    p10: Amount | None = None
    p90: Amount | None = None
    p99: Amount | None = None
    runs: Count | None = None


class Ratio(Part):
    """Latency as a share of the dense network's, from paired runs, with its 95 % interval."""

    median: Amount
    low: Amount | None = None
    high: Amount | None = None
