from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hwtickets.errors import HwticketsError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables import LatencyTable

KEY = "expanded_conv-input:14x14x96-output:14x14x136-expand:384-kernel:5-stride:1-idskip:0-se:1-hs:1"


def test_the_rows_of_the_note10(imported: Callable[..., LatencyTable], samples: Path) -> None:
    rows = imported(samples / "once-for-all-note10-224.yaml").rows
    assert len(rows) == 9
    stem = rows[OperatorSpec("conv", 3, 24, 3, 2, 1, 224, 224, "hswish")]
    assert stem.latency_ms == 0.994418
    assert stem.spread_ms == pytest.approx(0.017268 / math.sqrt(500))
    assert (stem.runs, stem.networks) == (500, 1)
    block = OperatorSpec("mbconv-se", 136, 136, 5, 1, 1, 14, 14, "hswish", residual=True, hidden=544)
    plain = OperatorSpec("mbconv", 24, 32, 7, 2, 1, 112, 112, "relu", hidden=72)
    without_expansion = OperatorSpec("mbconv", 24, 24, 3, 1, 1, 112, 112, "relu", residual=True)
    assert {block, plain, without_expansion} < set(rows)
    assert rows[plain].latency_ms == 5.01374
    assert rows[OperatorSpec("linear", 1536, 1000)].latency_ms == 0.669412
    assert rows[OperatorSpec("pool", 1152, 1152, height=7, width=7)].latency_ms == 0.0152707


def test_json_is_the_same(imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path) -> None:
    content = yaml.safe_load((samples / "once-for-all-note10-224.yaml").read_text())
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert imported(tmp_path / "a.json").rows == imported(samples / "once-for-all-note10-224.yaml").rows


def test_proxylessnas_counts_expansion_as_a_ratio(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(
        "expanded_conv-input:56x56x32-output:28x28x40-expand:6-kernel:7-stride:2-idskip:0: {mean: 2.5}\n"
        "Logits-input:7x7x1280-output:1000: {mean: 1.5}\n"
    )
    table = imported(tmp_path / "a.yaml")
    assert list(table.rows) == [OperatorSpec("mbconv", 32, 40, 7, 2, 1, 56, 56, "relu6", hidden=192)]
    assert table.provenance["skipped"] == {"a classifier together with its pooling": 1}


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (f"{KEY}: {{mean: 1, std: 0, count: 5}}\n" * 2, 2, "is there twice"),
        (f"{KEY}:\n  mean: 1\n  mean: 2\n", 3, "'mean' is there twice"),
        (f"{KEY}: {{mean: .nan, std: 0, count: 5}}", 1, "is nan|is '.nan'"),
        (f"{KEY}: {{mean: -1, std: 0, count: 5}}", 1, "is -1, not a number of milliseconds"),
        (f"{KEY}: {{mean: inf, std: 0, count: 5}}", 1, "is inf"),
        (f"{KEY}: {{mean: 1e9, std: 0, count: 5}}", 1, "is 1000000000.0, not a number of milliseconds"),
        (f"{KEY}: {{mean: 1e-5, std: 0, count: 5}}", 1, "faster than any device"),
        (f"{KEY}: {{mean: 1, std: -1, count: 5}}", 1, "the deviation of"),
        (f"{KEY}: {{mean: 1, std: 0, count: 0}}", 1, "was timed 0 times"),
        (f"{KEY}: {{std: 0, count: 5}}", 1, "has no 'mean'"),
        (f"{KEY}: {{mean: 1, std: 0, count: 5, unit: s}}", 1, "more than mean, std and count"),
        (f"{KEY}: 5", 1, "not a list of keys with named values"),
        (f"a: &x {{mean: 1}}\n{KEY}: *x", 1, "not a list of keys with named values"),
        (f"{KEY}x: {{mean: 1}}", 1, "is not the key of an operator"),
        (f"{KEY}: {{mean: 1}}\n\t- x", 2, "it is not YAML"),
        ("-input:-output:\n\n\xff", 3, "it is no UTF-8 text"),
    ],
)
def test_damage_names_file_and_line(
    imported: Callable[..., LatencyTable], tmp_path: Path, text: str, line: int, reason: str
) -> None:
    (tmp_path / "a.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(HwticketsError, match=rf"a\.yaml, line {line}: .*({reason})") as caught:
        imported(tmp_path / "a.yaml", format="once-for-all")
    assert "\n" not in str(caught.value)


def test_a_key_twice_in_json_is_found_by_its_line(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text(f'{{"{KEY}": {{"mean": 1}},\n"{KEY}": {{"mean": 2}}}}')
    with pytest.raises(HwticketsError, match=r"a\.json, line 2: the key .* is there twice"):
        imported(tmp_path / "a.json")


def test_an_output_that_does_not_fit_is_left_out(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_text(
        f"{KEY}: {{mean: 1}}\nConv-input:224x224x3-output:100x100x24: {{mean: 1}}\n"
    )
    assert imported(tmp_path / "a.yaml").provenance["skipped"] == {"an output that does not fit its input": 1}
