"""The methods that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from benchmarks.peer_fastnas import FastNAS, missing_fastnas
from benchmarks.peer_pruners import Peer, SparseTraining, Subject, TorchPruning, missing_torch_pruning

_UNTRAINED = {"pipeline": "post-training", "recipe": "none"}
#: Keys of a search of hwtickets by the name of the method.
OURS: Mapping[str, Mapping[str, Any]] = {
    "hwtickets, two-in-one": {"pipeline": "two-in-one"},
    "hwtickets, post-training": {"pipeline": "post-training"},
    "hwtickets, not trained": _UNTRAINED,
    "hwtickets, cut alone": {**_UNTRAINED, "reconstruct": False, "trials": 0},
}
#: What makes a pruner of others.
PEERS: dict[str, Callable[[Subject], Peer]] = {
    "torch-pruning, magnitude": partial(TorchPruning, importance="magnitude"),
    "torch-pruning, Taylor": partial(TorchPruning, importance="taylor"),
    "torch-pruning, sparse training": SparseTraining,
    "ModelOpt FastNAS": FastNAS,
}
#: Follows the name of a peer whose networks are finetuned on the data alone, as its documentation does it.
DATA_ALONE = ", data alone"
METHODS = (*OURS, *PEERS, *(f"{peer}{DATA_ALONE}" for peer in PEERS))


def peer_of(method: str) -> str:
    """The peer whose networks a method trains."""
    return method.removesuffix(DATA_ALONE)


def missing(method: str) -> str:
    """Why a method cannot be compared here; empty if it can."""
    if method in OURS:
        return ""
    return missing_fastnas() if PEERS[peer_of(method)] is FastNAS else missing_torch_pruning()
