"""How steady a device was while its table was measured, for the table's provenance."""

from __future__ import annotations

from typing import Any

import numpy as np

from hwtickets.tables.measure import Journal


def steadiness(journal: Journal) -> dict[str, Any]:
    """What the timed networks say of it.

    Returns:
        `discarded_runs`, because the device throttled; `p10_p90_share`, what lies between these percentiles
        of a network's runs as a share of its median, of the middle one of all networks; and where the device
        tells its clocks `clocks_mhz`: before the first network and after the last one, by unit.
    """
    networks = journal.all("network")
    ranges = [(record["p90_ms"] - record["p10_ms"]) / record["median_ms"] for record in networks]
    clocks = [record["clocks_mhz"] for record in networks if record["clocks_mhz"]]
    told = {"clocks_mhz": {"before": clocks[0][0], "after": clocks[-1][-1]}} if clocks else {}
    return {
        "discarded_runs": sum(record["discarded_runs"] for record in networks),
        "p10_p90_share": round(float(np.median(ranges)), 4),
        **told,
    }
