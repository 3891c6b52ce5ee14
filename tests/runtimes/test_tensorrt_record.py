from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwtickets.runtimes.tensorrt_record import EngineRecord, EngineSettings, engine_key, plain_version

ORIN = {"name": "Orin", "compute_capability": "8.7"}


def _record(**changed: Any) -> EngineRecord:
    found = {
        "module": "tensorrt",
        "version": "10.3.0",
        "gpu": ORIN,
        "targets": [],
        "flags": ["SPARSE_WEIGHTS"],
        "strongly_typed": True,
        "batches": None,
        "key": "k",
        "placed": [],
        "memory_bytes": 4096,
        "timing_cache": "begun",
        "seconds": 12.5,
        "sha256": "0" * 64,
        "size_bytes": 100,
        "log": [],
        **changed,
    }
    return EngineRecord.built("a" * 64, EngineSettings("fp16"), found, json.dumps({"Layers": ["conv"]}))


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8503", "8.5.3"),
        ("8601", "8.6.1"),
        ("100300", "10.3.0"),
        ("110401", "11.4.1"),
        ("10.3.0.30", "10.3.0"),
    ],
)
def test_versions_of_all_sources_are_alike(text: str, version: str) -> None:
    assert plain_version(text) == version


def test_the_key_changes_with_everything_that_invalidates_an_engine() -> None:
    asked = ["--onnx={model}", "--fp16"]
    keys = {
        engine_key("a", "10.3.0", ORIN, asked),
        engine_key("b", "10.3.0", ORIN, asked),
        engine_key("a", "10.4.0", ORIN, asked),
        engine_key("a", "10.3.0", {**ORIN, "name": "Orin NX"}, asked),
        engine_key("a", "10.3.0", {**ORIN, "compute_capability": "8.6"}, asked),
        engine_key("a", "10.3.0", None, asked),
        engine_key("a", "10.3.0", ORIN, [*asked, "--maxShapes=x:32x3x8x8"]),
    }
    assert len(keys) == 7
    assert engine_key("a", "10.3.0.30", dict(ORIN), asked) in keys


def test_an_engine_built_without_a_gpu_is_not_measured() -> None:
    assert _record(gpu=None, targets=["8.0", "8.6"]).as_dict()["status"].startswith("not measured: ")
    assert _record().as_dict()["status"] == "built on the GPU that it is for"


@settings(deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4))
def test_any_log_makes_a_record_that_is_json(log: list[str]) -> None:
    record = _record(log=log).as_dict()
    assert json.loads(json.dumps(record)) == record
