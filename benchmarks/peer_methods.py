"""The methods that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from benchmarks.peer_fastnas import FastNAS, missing_fastnas
from benchmarks.peer_pruners import Peer, SparseTraining, Subject, TorchPruning, missing_torch_pruning

#: Pipelines of hwtickets by the name of the method.
OURS = {"hwtickets, two-in-one": "two-in-one", "hwtickets, post-training": "post-training"}
#: What makes a pruner of others.
PEERS: dict[str, Callable[[Subject], Peer]] = {
    "torch-pruning, magnitude": partial(TorchPruning, importance="magnitude"),
    "torch-pruning, Taylor": partial(TorchPruning, importance="taylor"),
    "torch-pruning, sparse training": SparseTraining,
    "ModelOpt FastNAS": FastNAS,
}
METHODS = (*OURS, *PEERS)


def missing(method: str) -> str:
    """Why a method cannot be compared here; empty if it can."""
    if method in OURS:
        return ""
    return missing_fastnas() if PEERS[method] is FastNAS else missing_torch_pruning()
