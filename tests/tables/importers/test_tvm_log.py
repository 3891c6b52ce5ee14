from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables import LatencyTable


def record(**change: Any) -> dict[str, Any]:
    """One good record, changed."""
    conv = [["TENSOR", [1, 8, 4, 4], "float32"], ["TENSOR", [8, 8, 3, 3], "float32"]]
    arguments = [*conv, [1, 1], [1, 1, 1, 1], [1, 1], "float32"]
    return {
        "input": ["cuda -model=a", "conv2d_nchw.cuda", arguments, {}],
        "result": [[1e-3], 0, 1.0, 2.0],
        **change,
    }


def test_the_rows_of_one_board(imported: Callable[..., LatencyTable], samples: Path) -> None:
    table = imported(samples / "tvm-0.2.log", select="jetson-nano")
    assert {spec: row.latency_ms for spec, row in table.rows.items()} == {
        OperatorSpec("conv", 64, 64, 3, 1, 1, 56, 56): pytest.approx(1.72),
        OperatorSpec("conv", 3, 64, 7, 2, 1, 224, 224): pytest.approx(2.1),
        OperatorSpec("conv", 96, 96, 5, 2, 96, 28, 28): pytest.approx(0.12),
        OperatorSpec("linear", 1280, 1000): pytest.approx(0.31),
    }
    winograd = table.rows[OperatorSpec("conv", 64, 64, 3, 1, 1, 56, 56)]
    assert (winograd.runs, winograd.networks) == (3, 2), "the fastest of two schedules, of three runs"
    assert winograd.spread_ms == pytest.approx(0.01 / 3**0.5)
    assert table.provenance["units"] == "s, times 1000"
    assert table.provenance["skipped"] == {
        "tuned for another device": 1,
        "kernel or stride that is not square": 1,
        "computed in fp16, not fp32": 1,
        "the task conv2d_transpose_nchw.cuda": 1,
        "failed while it was tuned": 1,
    }


def test_the_older_form(imported: Callable[..., LatencyTable], samples: Path) -> None:
    rows = imported(samples / "tvm-0.1.log").rows
    assert rows[OperatorSpec("conv", 512, 1024, 1, 1, 1, 7, 7)].latency_ms == pytest.approx(4.1)
    assert rows[OperatorSpec("conv", 64, 64, 3, 1, 1, 56, 56)].latency_ms == pytest.approx(12.9)


@pytest.mark.parametrize("select", [None, "v100", "cuda"])
def test_several_devices_are_not_mixed(
    imported: Callable[..., LatencyTable], samples: Path, select: str | None
) -> None:
    with pytest.raises(UsageError, match=r"choose one with --select: jetson-nano \(9\), 1080ti \(1\)"):
        imported(samples / "tvm-0.2.log", select=select)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"result": [[-1.0], 0]}, "is -1000.0, not a number of milliseconds"),
        ({"result": [[float("nan")], 0]}, "is nan"),
        ({"result": [[0.0], 0]}, "is 0, not a number"),
        ({"result": [[1e-12], 0]}, "not a number of milliseconds"),
        ({"result": [[], 0]}, "it holds no time"),
        ({"result": [["fast"], 0]}, "is 'fast'"),
        ({"result": [1e-3, 0]}, "not a record of autotvm"),
        ({"result": None}, "not a record of autotvm"),
        (
            {"input": ["cuda -model=a", "conv2d_nchw.cuda", [], {}]},
            "the tensors of conv2d_nchw.cuda are missing",
        ),
        ({"input": ["cuda"]}, "not a record of autotvm"),
    ],
)
def test_damage_names_file_and_line(
    imported: Callable[..., LatencyTable], tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    lines = ["# a comment", "", json.dumps(record()), json.dumps(record(**change))]
    (tmp_path / "a.log").write_text("\n".join(lines))
    with pytest.raises(HwticketsError, match=rf"a\.log, line 4: .*{reason}"):
        imported(tmp_path / "a.log", format="tvm", select="a")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"input": [', "line 1: it is not JSON"),
        ('{"input": 1, "input": 2}', "line 1: the key 'input' is there twice"),
        ("[" * 100_000, "line 1: it is nested too deeply"),
        ("[]", "line 1: it is not a record"),
        ("# nothing", "it holds no records"),
    ],
)
def test_what_is_no_record_is_one_line(
    imported: Callable[..., LatencyTable], tmp_path: Path, text: str, reason: str
) -> None:
    (tmp_path / "a.log").write_text(text)
    with pytest.raises(HwticketsError, match=reason):
        imported(tmp_path / "a.log", format="tvm")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([[1, 1], [0, 0, 0, 0], [1, 1]], "padding that changes the size of the image"),
        ([[1, 1], [1, 1, 1, 1], [2, 2]], "dilation"),
        ([[1, 2], [1, 1, 1, 1], [1, 1]], "kernel or stride that is not square"),
        ([[1, 1], [1, 1, 1, 1], [1, 1], "NHWC"], "packed into another layout than NCHW"),
        ([[1, 1], "VALID", [1, 1]], "padding that changes the size of the image"),
    ],
)
def test_what_a_table_cannot_hold_is_counted_by_reason(
    imported: Callable[..., LatencyTable], tmp_path: Path, arguments: list[Any], reason: str
) -> None:
    good = record()
    target, task, (data, weights, *_), rest = good["input"]
    odd = record(input=[target, task, [data, weights, *arguments], rest])
    (tmp_path / "a.log").write_text("\n".join(json.dumps(entry) for entry in (good, odd)))
    assert imported(tmp_path / "a.log").provenance["skipped"] == {reason: 1}


def test_another_batch_is_another_table(imported: Callable[..., LatencyTable], tmp_path: Path) -> None:
    entry = json.dumps(record()).replace("[1, 8, 4, 4]", "[16, 8, 4, 4]")
    (tmp_path / "a.log").write_text(f"{entry}\n{json.dumps(record())}\n")
    one, many = imported(tmp_path / "a.log"), imported(tmp_path / "a.log", batch=16)
    assert (one.batch, many.batch) == (1, 16)
    assert one.provenance["skipped"] == {"batch 16 instead of 1": 1}
    assert len(many.rows) == 1
