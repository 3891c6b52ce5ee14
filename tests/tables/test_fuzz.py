"""Thousands of damaged files: each time one line or the table as it was; no traceback, no other table."""

from __future__ import annotations

import gzip
import importlib.util
import json
import pickle
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwtickets.cli.printing import plain
from hwtickets.errors import HwticketsError
from hwtickets.tables import LatencyTable, load_table, save_table
from hwtickets.tables.importers import Import, import_table
from hwtickets.tables.sampling import Space
from hwtickets.tables.store import read_device

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "data" / "importers"
CASES = 120


def _load_damage() -> ModuleType:
    # Test files are imported by path, so that a neighbour is no module of theirs.
    spec = importlib.util.spec_from_file_location("damage", Path(__file__).with_name("damage.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


damage = _load_damage()


def outcome(read: Callable[[], LatencyTable], file: Path, note: str) -> LatencyTable | None:
    """The table, or None where there was one line that names the file or its folder."""
    try:
        return read()
    except HwticketsError as error:
        text = str(error)
        assert str(file) in text or str(file.parent) in text, f"{note}: {text:.500}"
        assert "\n" not in text and len(text) < 2000, f"{note}: {text:.500}"
        return None
    except BaseException as error:
        raise AssertionError(f"{note}: {type(error).__name__}: {error}") from error


def possible(table: LatencyTable) -> bool:
    """Whether every row is an operator with a latency."""
    return bool(table.rows) and all(
        0 < row.latency_ms <= 1e5
        and np.isfinite(row.spread_ms)
        and row.spread_ms >= 0
        and row.runs >= 1
        and min(spec.c_in, spec.c_out, spec.kernel, spec.stride, spec.groups, spec.height, spec.width) >= 1
        for spec, row in table.rows.items()
    )


@pytest.mark.parametrize("name", ["device.yaml", "onnxruntime-fp32.csv", "onnxruntime-fp32.csv.gz"])
def test_damaged_tables(table: LatencyTable, tmp_path: Path, name: str) -> None:
    energies = {spec: replace(row, energy_mj=3 * row.latency_ms) for spec, row in table.rows.items()}
    table = replace(table, rows=energies)
    save_table(table, tmp_path, packed=name.endswith(".gz"))
    file = tmp_path / name
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    results: Counter[str] = Counter()
    for ruin in damage.ANY if name.endswith(".gz") else damage.TEXT:
        for case in range(CASES // 3):
            file.write_bytes(ruin(whole, random))
            note = f"{ruin.__name__}, case {case} of {name}"
            found = outcome(lambda: load_table(tmp_path, "onnxruntime", "fp32"), file, note)
            assert found is None or found == table, note
            results["refused" if found is None else "as it was"] += 1
    assert results["refused"] > 5 * results["as it was"], results


def test_damaged_tables_without_rows(tmp_path: Path) -> None:
    """A shipped device whose operators are priced by a formula."""
    file = tmp_path / "device.yaml"
    whole = (ROOT / "latency_tables" / "jetson-tx2" / "device.yaml").read_bytes()
    file.write_bytes(whole)
    entry = next(iter(read_device(tmp_path)["tables"].values()))
    table = load_table(tmp_path, entry["runtime"], entry["precision"])
    assert not table.rows
    random = np.random.default_rng(2)
    for ruin in damage.TEXT:
        for case in range(CASES // 5):
            file.write_bytes(ruin(whole, random))
            note = f"{ruin.__name__}, case {case}"
            found = outcome(lambda: load_table(tmp_path, entry["runtime"], entry["precision"]), file, note)
            assert found is None or found == table, note


@pytest.mark.parametrize("source", ["rows", "jetson-tx2"])
def test_damaged_descriptions_without_a_checksum(
    table: LatencyTable, space: Space, tmp_path: Path, source: str
) -> None:
    """As their messages advise where a change is meant: what is left must be a table that can be used."""
    if source == "rows":
        fingerprint = {"cpu": "toy", "multiprocessors": "80"}
        save_table(
            replace(table, fingerprint=fingerprint, error={**table.error, "kendall_tau": 0.9}), tmp_path
        )
        whole = (tmp_path / "device.yaml").read_bytes()
    else:
        whole = (ROOT / "latency_tables" / source / "device.yaml").read_bytes()
    whole = re.sub(rb" *sha256: \w+\n", b"", whole)
    file, graph = tmp_path / "device.yaml", space.graph(space.dense())
    file.write_bytes(whole)
    key = next(iter(read_device(tmp_path)["tables"]))
    runtime, precision = key.split("-")

    def used() -> LatencyTable:
        found = load_table(tmp_path, runtime, precision)
        prediction = found.predict(graph)
        assert prediction.ms >= 0 and prediction.error_ms >= 0
        json.dumps(plain(found.describe()), allow_nan=False)
        return found

    used()
    random = np.random.default_rng(3)
    refused = 0
    for ruin in damage.TEXT:
        for case in range(CASES // 4):
            file.write_bytes(ruin(whole, random))
            refused += outcome(used, file, f"{ruin.__name__}, case {case} of {source}") is None
    assert refused > 100


def _pickled() -> bytes:
    blocks = {
        f"ConvBlock_H{size}_W{size}_Cin16_Cout24_exp{exp}_kernel5_stride2_group1": np.float64(exp / size)
        for size in (8, 16, 32)
        for exp in (1, 3, 6)
    }
    content = {"fbnet": {"edgegpu_latency": blocks, "edgegpu_energy": dict.fromkeys(blocks, 2.5)}}
    return pickle.dumps(content, 4)


FORMATS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "once-for-all": ({}, ["once-for-all-note10-224.yaml"]),
    "tvm": ({"select": "jetson-nano"}, ["tvm-0.2.log"]),
    "tensorrt": ({"precision": "fp16"}, ["trtexec-10.layers.json", "trtexec-10.profile.json"]),
    "tensorrt 11": ({"precision": "fp16"}, ["trtexec-11.layers.json", "trtexec-10.profile.json"]),
    "torch_tensorrt": (
        {"precision": "fp16"},
        ["torch-tensorrt.layer-latency.json", "torch-tensorrt.engine-info.json"],
    ),
    "hw-nas-bench": ({}, ["a.pickle"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_imports(tmp_path: Path, name: str) -> None:
    options, names = FORMATS[name]
    files = [tmp_path / file for file in names]
    for file in files:
        if file.name == "a.pickle":
            file.write_bytes(_pickled())
        else:
            shutil.copy(SAMPLES / file.name, file)
    form = name.split()[0].replace("torch_tensorrt", "tensorrt")
    asked = Import(files, "board", "a", options.pop("precision", "fp32"), form, **options)
    whole = import_table(asked)
    random = np.random.default_rng(1)
    results: Counter[str] = Counter()
    for file in files:
        content = file.read_bytes()
        for ruin in damage.ANY if name == "hw-nas-bench" else damage.TEXT:
            for case in range(CASES // len(files) // 3):
                damaged = ruin(content, random)
                file.write_bytes(damaged)
                note = f"{ruin.__name__}, case {case} of {file.name}"
                found = outcome(lambda: import_table(asked), file, note)
                assert found is None or possible(found), note
                assert damaged != content or (found is not None and found.rows == whole.rows), note
                results["refused" if found is None else "possible"] += 1
        file.write_bytes(content)
    assert min(results.values()) > 0, results
    assert import_table(asked).rows == whole.rows


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(bytes(400 * 2**20), compresslevel=1))
    assert bomb.stat().st_size < 4 * 2**20
    with pytest.raises(HwticketsError, match=r"bomb\.gz: it holds more than 128 MiB"):
        import_table(Import([bomb], "board", "a", "fp32", "tvm"))


def test_aliases_cannot_blow_a_table_up(tmp_path: Path) -> None:
    lines = ["a: &a {mean: 1}"]
    lines += [
        f"{name}: &{name} [{','.join(['*' + last] * 9)}]"
        for last, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    (tmp_path / "a.yaml").write_text("\n".join(lines))
    with pytest.raises(HwticketsError, match=r"a\.yaml, line 1: it is not a list of keys"):
        import_table(Import([tmp_path / "a.yaml"], "board", "a", "fp32", "once-for-all"))
