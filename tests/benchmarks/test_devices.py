from __future__ import annotations

from typing import Any

from benchmarks.devices import row_of, summarise


def _network(method: str, seed: int, **more: Any) -> dict[str, Any]:
    return {"seed": seed, "device": "b", "budget": "40%", "method": method, **more}


def _ticket(test: float, latency_ms: float, measured: bool = True, kept: bool = True) -> dict[str, Any]:
    return {"test": test, "latency_ms": latency_ms, "measured": measured, "kept": kept, "macs": 2e6}


def test_seeds_become_one_row_and_infeasible_ones_are_left_out() -> None:
    networks = [
        _network("drawn", 0, **_ticket(80.0, 1.0)),
        _network("drawn", 1, **_ticket(82.0, 1.2)),
        _network("drawn", 2, reason="infeasible"),
        _network("searched for it", 0, **_ticket(85.0, 0.9, measured=False, kept=False)),
        _network("drawn, short", 0, reason="infeasible"),
    ]
    drawn, searched, nothing = summarise(networks)
    assert (drawn["method"], drawn["test"], drawn["measured"]) == ("drawn", [80.0, 82.0], True)
    assert row_of(drawn) == ["b", "40%", "drawn", "2", "81.00 ± 1.41", "1.1 measured", "2"]
    assert row_of(searched)[2:] == ["searched for it (above budget)", "1", "85.00", "0.9 predicted", "2"]
    assert row_of(nothing)[3:] == ["0", "infeasible", "", ""]
