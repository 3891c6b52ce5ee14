from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.store import load_table, save_table
from hwtickets.tables.table import LatencyTable, Row

_COUNT = st.integers(1, 4096)
_SPECS = st.builds(
    OperatorSpec,
    kind=st.sampled_from(["conv", "add", "concat", "pool", "linear", "relu"]),
    c_in=_COUNT,
    c_out=_COUNT,
    kernel=_COUNT,
    stride=_COUNT,
    groups=_COUNT,
    height=_COUNT,
    width=_COUNT,
    activation=st.sampled_from(["relu", "none"]),
    residual=st.booleans(),
)
_MS = st.floats(0, 1e6, allow_nan=False)
_ROWS = st.dictionaries(_SPECS, st.builds(Row, _MS, _MS, _COUNT, _COUNT), min_size=1, max_size=8)


@given(rows=_ROWS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_read_as_it_was_written(
    table: LatencyTable, tmp_path: Path, rows: dict[OperatorSpec, Row]
) -> None:
    written = replace(table, rows=rows)
    save_table(written, tmp_path)
    assert load_table(tmp_path, "onnxruntime", "fp32") == written


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
