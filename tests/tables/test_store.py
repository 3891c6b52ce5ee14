from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.estimator import Estimator
from hwtickets.tables.rows import RowError, read_rows
from hwtickets.tables.store import load_table, save_table
from hwtickets.tables.table import LatencyTable, Row

_COUNT = st.integers(1, 4096)
_SPECS = st.builds(
    OperatorSpec,
    kind=st.sampled_from(["conv", "add", "concat", "pool", "linear", "resize", "mbconv-se", "downup-2x"]),
    c_in=_COUNT,
    c_out=_COUNT,
    kernel=_COUNT,
    stride=_COUNT,
    groups=_COUNT,
    height=_COUNT,
    width=_COUNT,
    activation=st.sampled_from(["relu", "none", "hswish", "relu6"]),
    residual=st.booleans(),
    hidden=st.integers(0, 4096),
    dilation=_COUNT,
    out_height=st.integers(0, 4096),
    out_width=st.integers(0, 4096),
)
_MS = st.floats(0, 1e6, allow_nan=False)
_ENERGY = st.none() | st.floats(0, 1e6, allow_nan=False)
_ROWS = st.dictionaries(_SPECS, st.builds(Row, _MS, _MS, _COUNT, _COUNT, _ENERGY), min_size=1, max_size=8)


@given(rows=_ROWS, packed=st.booleans(), batch=st.integers(1, 64))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_read_as_it_was_written(
    table: LatencyTable, tmp_path: Path, rows: dict[OperatorSpec, Row], packed: bool, batch: int
) -> None:
    written = replace(table, rows=rows, batch=batch)
    save_table(written, tmp_path, packed)
    assert load_table(tmp_path, "onnxruntime", "fp32", batch) == written


def test_the_same_rows_are_the_same_file_packed_or_not(table: LatencyTable, tmp_path: Path) -> None:
    for packed, name in ((False, "onnxruntime-fp32.csv"), (True, "onnxruntime-fp32.csv.gz")):
        save_table(table, tmp_path / "one", packed)
        save_table(table, tmp_path / "two", packed)
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert [file.name for file in (tmp_path / "one").glob("*.csv*")] == [name]


def test_a_table_without_rows_is_its_description_alone(table: LatencyTable, tmp_path: Path) -> None:
    roofline = Estimator.fit({spec: row.latency_ms for spec, row in table.rows.items()}, 16).roofline
    analytic = replace(table, rows={}, roofline=roofline)
    save_table(analytic, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["device.yaml"]
    assert load_table(tmp_path, "onnxruntime", "fp32") == analytic


def test_batches_are_tables_of_their_own(table: LatencyTable, tmp_path: Path) -> None:
    many = replace(table, batch=32, rows=dict(list(table.rows.items())[:3]))
    save_table(table, tmp_path)
    save_table(many, tmp_path)
    assert (tmp_path / "onnxruntime-fp32-b32.csv").exists()
    assert load_table(tmp_path, "onnxruntime", "fp32", 32) == many
    with pytest.raises(
        HwticketsError, match="no table for onnxruntime at fp32, batch 8, only onnxruntime-fp32,"
    ):
        load_table(tmp_path, "onnxruntime", "fp32", 8)


def test_columns_that_say_nothing_may_be_missing(table: LatencyTable, tmp_path: Path) -> None:
    rows = read_rows("kind,c_in,c_out,latency_ms\nconv,8,16,0.5\n")
    assert rows == {OperatorSpec("conv", 8, 16): Row(0.5)}
    save_table(replace(table, rows=rows), tmp_path)
    text = (tmp_path / "onnxruntime-fp32.csv").read_text()
    assert text == "kind,c_in,c_out,latency_ms\nconv,8,16,0.5\n"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("kind,c_in,c_out,latency\nconv,8,16,0.5\n", 1, "'latency' has no unit; it is called latency_ms"),
        ("kind,c_in,c_out,latency_ms,energy\n", 1, "'energy' has no unit; it is called energy_mj"),
        ("kind,c_in,c_out,latency_ms,colour\n", 1, "the column 'colour' is unknown"),
        ("kind,c_in,latency_ms\nconv,8,0.5\n", 1, "the column c_out is missing"),
        ("kind,c_in,c_out,c_out,latency_ms\n", 1, "a column is there twice"),
        ("kind,c_in,c_out,latency_ms\nconv,8,16\n", 2, "3 cells instead of 4"),
        (
            "kind,c_in,c_out,latency_ms\nconv,8,16,0.5 ms\n",
            2,
            "latency_ms is 0.5 ms, not a number of millisec",
        ),
        ("kind,c_in,c_out,latency_ms\nconv,8,16,1_0\n", 2, "latency_ms is 1_0"),
        (
            "kind,c_in,c_out,latency_ms,energy_mj\nconv,8,16,1,-2\n",
            2,
            "energy_mj is -2, not a number of millij",
        ),
        ("kind,c_in,c_out,latency_ms\n,8,16,1\n", 2, "kind is '', not a word"),
    ],
)
def test_a_text_that_is_no_table_names_line_and_reason(text: str, line: int, reason: str) -> None:
    with pytest.raises(RowError, match=re.escape(reason)) as caught:
        read_rows(text)
    assert caught.value.line == line


def test_a_changed_digit_is_noticed_wherever_it_is(table: LatencyTable, tmp_path: Path) -> None:
    save_table(table, tmp_path)
    for name, old, new in (
        ("onnxruntime-fp32.csv", "0.0010", "0.0020"),
        ("device.yaml", "scale: 1.1", "scale: 1.7"),
        ("device.yaml", "device: cpu", "device: gpu"),
    ):
        file = tmp_path / name
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new, 1))
        with pytest.raises(HwticketsError, match="not what was written"):
            load_table(tmp_path, "onnxruntime", "fp32")
        file.write_text(text)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table


def test_a_damaged_packed_table_is_one_line(table: LatencyTable, tmp_path: Path) -> None:
    save_table(table, tmp_path, packed=True)
    file = tmp_path / "onnxruntime-fp32.csv.gz"
    whole = file.read_bytes()
    for damaged in (b"", whole[:20], whole[:-3], whole + b"x", b"kind" + whole):
        file.write_bytes(damaged)
        with pytest.raises(HwticketsError, match=r"onnxruntime-fp32\.csv\.gz is damaged"):
            load_table(tmp_path, "onnxruntime", "fp32")


def test_one_folder_holds_several_precisions(table: LatencyTable, tmp_path: Path) -> None:
    half = replace(table, precision="fp16", rows=dict(list(table.rows.items())[:3]))
    save_table(table, tmp_path)
    save_table(half, tmp_path)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table
    assert load_table(tmp_path, "onnxruntime", "fp16") == half
    with pytest.raises(HwticketsError, match="only onnxruntime-fp32, onnxruntime-fp16"):
        load_table(tmp_path, "onnxruntime", "int8")


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("latency_ms", "nan", "latency_ms is nan"),
        ("latency_ms", "-0.5", "latency_ms is -0.5"),
        ("spread_ms", "inf", "spread_ms is inf"),
        ("c_in", "0", "c_in is 0"),
        ("c_out", "many", "many"),
        ("residual", "perhaps", "residual is 'perhaps'"),
    ],
)
def test_a_bad_cell_is_found_by_its_line(
    table: LatencyTable, tmp_path: Path, column: str, value: str, reason: str
) -> None:
    save_table(table, tmp_path)
    file = tmp_path / "onnxruntime-fp32.csv"
    lines = file.read_text().splitlines()
    cells = lines[2].split(",")
    cells[lines[0].split(",").index(column)] = value
    lines[2] = ",".join(cells)
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(HwticketsError, match=f"onnxruntime-fp32.csv, line 3: .*{reason}"):
        load_table(tmp_path, "onnxruntime", "fp32")


def test_a_duplicate_row_is_found_by_its_line(table: LatencyTable, tmp_path: Path) -> None:
    save_table(table, tmp_path)
    file = tmp_path / "onnxruntime-fp32.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(HwticketsError, match=f"line {len(lines) + 1}: the operator is there twice"):
        load_table(tmp_path, "onnxruntime", "fp32")


def test_a_shortened_file_is_noticed(table: LatencyTable, tmp_path: Path) -> None:
    save_table(table, tmp_path)
    file = tmp_path / "onnxruntime-fp32.csv"
    whole = file.read_text()
    for length in (0, 10, len(whole) // 2, whole.rindex("\n", 0, -1) + 1):
        file.write_text(whole[:length])
        with pytest.raises(HwticketsError, match=r"onnxruntime-fp32\.csv.*build the table again"):
            load_table(tmp_path, "onnxruntime", "fp32")


@pytest.mark.parametrize(
    "text", ["", "device: cpu", "tables: {onnxruntime-fp32: {}}\ndevice: cpu", "{", "\x00"]
)
def test_a_damaged_description_is_one_line(table: LatencyTable, tmp_path: Path, text: str) -> None:
    save_table(table, tmp_path)
    (tmp_path / "device.yaml").write_text(text)
    with pytest.raises(HwticketsError, match=r"device\.yaml is damaged") as caught:
        load_table(tmp_path, "onnxruntime", "fp32")
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no latency table at"):
        load_table(tmp_path, "onnxruntime", "fp32")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("p90_error: 0.05", "p90_error: x", "'p90_error' of its error is 'x', not a number from 0 on"),
        ("p90_error: 0.05", "p90_error: .nan", "'p90_error' of its error is nan"),
        ("p90_error: 0.05", "p90_error: -3", "'p90_error' of its error is -3"),
        ("p90_error: 0.05", "p90_error: true", "'p90_error' of its error is True"),
        (
            "p90_error: 0.05",
            "kendall_tau: -1.5",
            "'kendall_tau' of its error is -1.5, not a number from -1 on",
        ),
        ("cpu: toy", "multiprocessors: 80", "'multiprocessors' of its fingerprint is 80, not a text"),
        ("scale: 1.1", "scale: true", "'scale' of its calibration is True"),
        ("precision: fp32", "precision: fp16", "it says that it is onnxruntime-fp16"),
    ],
)
def test_a_value_that_cannot_be_is_refused_where_the_checksum_was_removed(
    table: LatencyTable, tmp_path: Path, old: str, new: str, reason: str
) -> None:
    save_table(table, tmp_path)
    file = tmp_path / "device.yaml"
    text = re.sub(r" *sha256: \w+\n", "", file.read_text())
    file.write_text(text)
    assert load_table(tmp_path, "onnxruntime", "fp32") == table
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(HwticketsError, match=re.escape(reason)):
        load_table(tmp_path, "onnxruntime", "fp32")
