"""What a comparison of pruners comes to: accuracy at equal latency, hypervolumes, the best of the others."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from benchmarks.common import Table, mean_and_spread, percent
from benchmarks.peer_methods import DATA_ALONE

#: How far above the budget a network may be measured in the end and still count as one that keeps it.
SLACK = 0.03
#: How the networks of peers were trained.
TAUGHT, ALONE = "as ours", "on the data alone"


def hypervolume(points: Sequence[tuple[float, float]], worst: tuple[float, float]) -> float:
    """Area that networks dominate: at most a cost, at least a score.

    Source: Zitzler and Thiele, Multiobjective Evolutionary Algorithms (1999), section 3.3.

    Args:
        points: Cost and score of each network.
        worst: The cost and the score that everything is better than; points beyond add nothing.
    """
    dearest, best = worst
    area = 0.0
    for cost, score in sorted(points):
        if cost < dearest and score > best:
            area += (dearest - cost) * (score - best)
            best = score
    return area


def by_budget(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each network, budget and method: lists over the seeds, in order."""
    dense = {(one["network"], one["seed"]): one["test"] for one in networks if one["method"] == "dense"}
    entries = []
    for key in dict.fromkeys((one["network"], one["budget"], one["method"]) for one in networks):
        own = [one for one in networks if (one["network"], one["budget"], one["method"]) == key]
        network, budget, method = key
        shares = [one["measured"]["median"] for one in own]
        off = [] if budget is None else [share / budget - 1 for share in shares]
        entries.append(
            {
                "network": network,
                "budget": budget,
                "method": method,
                "ours": own[0]["ours"],
                "seeds": [one["seed"] for one in own],
                "test": [one["test"] for one in own],
                "difference": [one["test"] - dense[network, one["seed"]] for one in own],
                "share": shares,
                "off_budget": off,
                "kept": all(part <= SLACK for part in off),
                "tries": [one["tries"] for one in own],
                "search_seconds": [one["search_seconds"] for one in own],
                "seconds": [one["seconds"] for one in own],
            }
        )
    return entries


def hypervolumes(networks: Sequence[Mapping[str, Any]], chance: float) -> list[dict[str, Any]]:
    """One entry for each network and method: the dominated share of what there is to dominate, by seed.

    Args:
        networks: All networks.
        chance: Score of guessing, in percent; that and the dense latency bound the area.
    """
    entries = []
    for key in dict.fromkeys(
        (one["network"], one["method"]) for one in networks if one["budget"] is not None
    ):
        own = [one for one in networks if (one["network"], one["method"]) == key]
        volumes = [
            hypervolume(
                [(one["measured"]["median"], one["test"]) for one in own if one["seed"] == seed],
                (1.0, chance),
            )
            for seed in dict.fromkeys(one["seed"] for one in own)
        ]
        shares = [volume / (100.0 - chance) for volume in volumes]
        entries.append({"network": key[0], "method": key[1], "hypervolume": shares})
    return entries


def against_best_peer(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of our methods against the peer of the highest mean score among those that keep the budget.

    One entry for each way in which peers were trained. Where none of these keeps a budget, or we do not,
    `best_peer` or `kept` say so. Differences are over the seeds that both have.
    """
    compared = []
    others = [entry for entry in entries if not entry["ours"] and entry["budget"] is not None]
    ways = list(dict.fromkeys(map(_training_of, others))) or [TAUGHT]
    for entry, way in product((entry for entry in entries if entry["ours"]), ways):
        place = (entry["network"], entry["budget"], way)
        peers = [
            peer
            for peer in others
            if (peer["network"], peer["budget"], _training_of(peer)) == place and peer["kept"]
        ]
        best = max(peers, key=lambda peer: statistics.fmean(peer["test"]), default=None)
        both = [] if best is None else _paired(entry, best)
        compared.append(
            {
                "network": place[0],
                "budget": place[1],
                "method": entry["method"],
                "kept": entry["kept"],
                "peers_trained": way,
                "best_peer": None if best is None else best["method"],
                "difference": both,
            }
        )
    return compared


def _training_of(entry: Mapping[str, Any]) -> str:
    return ALONE if entry["method"].endswith(DATA_ALONE) else TAUGHT


def at_equal_latency(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each of our networks against each peer at the latency that ours was measured at.

    A peer's score there is interpolated between its networks of the same seed on either side, the dense one
    included; where ours is faster than all of a peer's networks there is none.
    """
    entries = []
    ours = [one for one in networks if one["ours"] and one["budget"] is not None]
    for key in dict.fromkeys((one["network"], one["budget"], one["method"]) for one in ours):
        own = [one for one in ours if (one["network"], one["budget"], one["method"]) == key]
        curves: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for one in networks:
            if one["network"] == key[0] and not one["ours"] and one["method"] != "dense":
                curves.setdefault((one["method"], one["seed"]), []).append(_point(one))
        dense = {one["seed"]: _point(one) for one in networks if _is_dense(one, key[0])}
        for peer in dict.fromkeys(method for method, _ in curves):
            differences = []
            for one in (one for one in own if (peer, one["seed"]) in curves):
                share, score = _point(one)
                known = sorted([*curves[peer, one["seed"]], dense[one["seed"]]])
                if share >= known[0][0]:
                    shares, scores = np.array(known).T
                    differences.append(score - float(np.interp(share, shares, scores)))
            entries.append(dict(zip(("network", "budget", "method"), key, strict=True)) | {
                "peer": peer, "seeds": len(own), "difference": differences
            })  # fmt: skip
    return entries


def _point(one: Mapping[str, Any]) -> tuple[float, float]:
    return one["measured"]["median"], one["test"]


def _is_dense(one: Mapping[str, Any], network: str) -> bool:
    return bool(one["method"] == "dense" and one["network"] == network)


def tables_of(result: Mapping[str, Any], where: str) -> list[Table]:
    """The tables for people; `where` says what data and how long."""
    once = {(one["network"], one["method"]): one["seconds"] for one in result["once"]}
    accuracy = Table(
        f"Test accuracy at equal measured latency, {where}; mean ± spread over seeds",
        ("network", "budget", "method", "seeds", "test %", "to dense", "measured share", "off budget at most",
         "tries", "search s", "all s"),
        [_row(entry) for entry in result["summary"]],
    )  # fmt: skip
    volumes = Table(
        "Hypervolume: share of the area between dense latency and guessing that the tickets dominate",
        ("network", "method", "hypervolume", "once, s"),
        [
            [one["network"], one["method"], mean_and_spread(one["hypervolume"], 4),
             f"{once.get((one['network'], one['method']), 0.0):.1f}"]
            for one in result["hypervolumes"]
        ],
    )  # fmt: skip
    best = Table(
        "Against the most accurate peer that keeps the budget",
        ("network", "budget", "method", "peers trained", "best peer", "points more"),
        [
            [one["network"], percent(one["budget"], 0), one["method"] + _mark(one), one["peers_trained"],
             one["best_peer"] or "none keeps it",
             mean_and_spread(one["difference"]) if one["difference"] else ""]
            for one in result["against_best_peer"]
        ],
    )  # fmt: skip
    volume = {(one["network"], one["method"]): one["hypervolume"] for one in result["hypervolumes"]}
    equal = Table(
        "At the measured latency of ours: the peers interpolated between their networks and the dense one",
        ("network", "budget", "method", "peer", "points more", "seeds", "hypervolume", "the peer's"),
        [
            [one["network"], percent(one["budget"], 0), one["method"], one["peer"],
             mean_and_spread(one["difference"]) if one["difference"] else "none as fast",
             f"{len(one['difference'])} of {one['seeds']}",
             *(mean_and_spread(volume[one["network"], one[method]], 4) for method in ("method", "peer"))]
            for one in result["at_equal_latency"]
        ],
    )  # fmt: skip
    skipped = Table("Not compared", ("method", "reason"), [[*pair] for pair in result["skipped"].items()])
    return [accuracy, volumes, best, equal, *([skipped] if result["skipped"] else [])]


def _row(entry: Mapping[str, Any]) -> list[str]:
    shares, off = entry["share"], entry["off_budget"]
    dense = entry["budget"] is None
    return [
        entry["network"],
        "" if dense else percent(entry["budget"], 0),
        entry["method"] + _mark(entry),
        str(len(entry["test"])),
        mean_and_spread(entry["test"]),
        "" if dense else mean_and_spread(entry["difference"]),
        f"{percent(statistics.fmean(shares))} ({percent(min(shares))} to {percent(max(shares))})",
        "" if dense else f"{max(off, key=abs):+.1%}",
        "" if dense else ", ".join(map(str, entry["tries"])),
        "" if dense else f"{statistics.fmean(entry['search_seconds']):.0f}",
        f"{statistics.fmean(entry['seconds']):.0f}",
    ]


def _mark(entry: Mapping[str, Any]) -> str:
    if not entry["kept"]:
        return " (above budget)"
    return " (below budget)" if any(part < -SLACK for part in entry.get("off_budget", ())) else ""


def _paired(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[float]:
    known = dict(zip(other["seeds"], other["test"], strict=True))
    pairs = zip(one["seeds"], one["test"], strict=True)
    return [score - known[seed] for seed, score in pairs if seed in known]
