from __future__ import annotations

from typing import Any

from benchmarks.transfer import row_of, summarise


def _network(method: str, test: float, share: float) -> dict[str, Any]:
    return {"method": method, "test": test, "steps": 40, "measured": {"median": share, "p50_ms": 2 * share}}


def test_seeds_become_one_row_each_method() -> None:
    networks = [
        _network("transferred", 50.0, 1.0),
        _network("new weights", 40.0, 1.0),
        _network("transferred", 54.0, 1.0),
        _network("searched on the target", 60.0, 0.9),
    ]
    transferred, fresh, searched = summarise(networks)
    assert row_of(transferred) == ["transferred", "2", "52.00 ± 2.83", "2", "100.0 %", "40"]
    assert row_of(fresh)[:3] == ["new weights", "1", "40.00"]
    assert row_of(searched)[3:] == ["1.8", "90.0 %", "40"]
