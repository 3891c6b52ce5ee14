"""On layers in the documented form of the inspector, made up by us: no TensorRT ran."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwtickets.deploy.sparse_account import sparse_account
from hwtickets.deploy.two_four import WeightSparsity
from hwtickets.runtimes.profiling import NodeTime
from hwtickets.runtimes.tensorrt_record import EngineRecord, EngineSettings

DATA = Path(__file__).parents[1] / "data" / "trtexec"
WEIGHTS = [
    WeightSparsity(
        "w0", "stem.conv", (64, 3, 3, 3), 0.0, "input channels a filter: 3, not a multiple of 4", False
    ),
    WeightSparsity("w1", "body.wide", (512, 64, 3, 3), 0.5, "", True),
    WeightSparsity("w2", "body.narrow", (32, 512, 1, 1), 0.5, "", True),
]
PICKED = "(Sparsity) TRT inference plan picked sparse implementation for layers: "


def engine_record(layers: str | None, *log: str) -> EngineRecord:
    found: dict[str, Any] = {
        "module": "trtexec",
        "version": "10.3.0",
        "gpu": {"name": "Orin", "compute_capability": "8.7"},
        "targets": [],
        "flags": ["SPARSE_WEIGHTS"],
        "strongly_typed": True,
        "batches": None,
        "key": "k",
        "placed": [],
        "memory_bytes": None,
        "timing_cache": "used",
        "seconds": 1.0,
        "sha256": "0" * 64,
        "size_bytes": 1,
        "log": log,
    }
    text = None if layers is None else (DATA / layers).read_text()
    return EngineRecord.built("a" * 64, EngineSettings("fp16"), found, text)


def test_the_kernels_name_decides_in_both_forms_of_the_inspector() -> None:
    for file in ("sparse-10.json", "sparse-11.json"):
        account = sparse_account(WEIGHTS, engine_record(file))
        assert [entry.kernel for entry in account] == ["dense", "sparse", "dense"]
        assert [entry.pattern for entry in account] == [
            "input channels a filter: 3, not a multiple of 4",
            "2:4",
            "2:4",
        ]
    assert account[1].name == "sm80_xmma_fprop_sparse_conv_f16f16"


def test_the_log_decides_where_kernels_are_not_told() -> None:
    account = sparse_account(WEIGHTS, engine_record(None, PICKED + "body.wide + body.relu"))
    assert [entry.kernel for entry in account] == ["dense", "sparse", "dense"]


def test_eligible_weights_prove_nothing() -> None:
    log = "(Sparsity) Layers eligible for sparse math: body.wide, body.narrow"
    account = sparse_account(WEIGHTS, engine_record(None, log, PICKED))
    assert {entry.kernel for entry in account} == {"dense"}


def test_where_nothing_is_told_nothing_is_claimed() -> None:
    account = sparse_account(WEIGHTS, engine_record(None))
    assert {entry.kernel for entry in account} == {"not told"}


def test_times_are_those_of_the_layer_that_a_weight_is_part_of() -> None:
    dense = {"stem.conv": NodeTime("", 0.5), "body.wide": NodeTime("", 2.0), "body.narrow": NodeTime("", 1.0)}
    sparse = {**dense, "body.wide": NodeTime("", 1.5)}
    account = sparse_account(WEIGHTS, engine_record("sparse-10.json"), dense, sparse)
    assert [(entry.dense_ms, entry.sparse_ms, entry.ratio) for entry in account[1:]] == [
        (2.0, 1.5, 0.75),
        (1.0, 1.0, 1.0),
    ]
    assert sparse_account(WEIGHTS, engine_record("sparse-10.json"))[1].ratio is None
