from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.boards.reading import Folders, read_rows
from benchmarks.boards.spaces import SPACES
from hwtickets.errors import HwticketsError
from tests.benchmarks.commands import printed

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "tests" / "data" / "latency_networks"
KEYS = {
    "device",
    "n",
    "fit_n",
    *(
        f"{predictor}{score}"
        for predictor in ("", "macs_", "additive_")
        for score in ("median_error", "mean_error", "within_5", "within_10", "kendall_tau")
    ),
    "expected_error",
    "inside_expected",
    "model",
    "noise_floor",
    "noise_floor_how",
    "campaigns_mean_error",
    "remark",
}


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    printed("boards.split", str(SAMPLE), str(folder))
    return folder


@pytest.fixture(scope="module")
def results(split: Path) -> dict[str, dict[str, Any]]:
    sides = ("--fit", str(split / "fit"), "--test", str(split / "test"))
    # Another process, for once: by the path of the script.
    line = [sys.executable, "benchmarks/prediction.py", *sides, "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert len({result["device"] for result in found}) == len(found)
    return {result["device"]: result for result in found}


@pytest.fixture
def copy(split: Path, tmp_path: Path) -> Path:
    shutil.copytree(split, tmp_path / "copy")
    return tmp_path / "copy"


def keep_only(*starts: str, folder: Path) -> None:
    for file in folder.glob("*/*.csv"):
        if not file.name.startswith(starts):
            file.unlink()


def column(file: Path, name: str) -> list[str]:
    with file.open(newline="") as lines:
        return [row[name] for row in csv.DictReader(lines)]


def test_no_network_is_on_both_sides(split: Path) -> None:
    functions = dict(
        zip(
            column(SAMPLE / "nb201_archs.csv", "arch_idx"),
            column(SAMPLE / "nb201_archs.csv", "iso_group"),
            strict=True,
        )
    )
    fit, test = (
        {functions[index] for index in column(split / side / "nb201_edge.csv", "arch_idx")}
        for side in ("fit", "test")
    )
    assert fit and test and not fit & test
    pairs = [
        {
            (device, network.removesuffix("_int8"))
            for device, network in zip(
                column(split / side / "ncnn_networks.csv", "device"),
                column(split / side / "ncnn_networks.csv", "network"),
                strict=True,
            )
        }
        for side in ("fit", "test")
    ]
    assert pairs[0] and pairs[1] and not pairs[0] & pairs[1]


def test_every_device_has_every_key(results: dict[str, dict[str, Any]]) -> None:
    files = {device.partition("/")[0] for device in results}
    assert files == {
        "nb201_edge",
        "fbnet_help",
        "ofa_mbv3_help",
        "hat_transformer",
        "torch2trt_jetson",
        "ncnn_networks",
    }
    for result in results.values():
        assert set(result) == KEYS
        assert 0 <= result["within_5"] <= result["within_10"] <= 1
        assert result["expected_error"] > 0


@pytest.mark.parametrize(
    "device",
    [
        "nb201_edge/edgegpu_jetson_tx2_torch2trt",
        "nb201_edge/jetson_nano_fp16",
        "fbnet_help/titan_rtx_64",
        "ofa_mbv3_help/v100_64",
        "ofa_mbv3_help/titan_rtx_1",
        "hat_transformer/wmt14enfr_gpu_titanxp",
        "ncnn_networks/all",
    ],
)
def test_the_prediction_beats_macs_and_the_additive_model(
    results: dict[str, dict[str, Any]], device: str
) -> None:
    result = results[device]
    assert result["mean_error"] < 0.6 * result["macs_mean_error"]
    assert result["mean_error"] < result["additive_mean_error"]


def test_known_defects_are_left_out_and_said(results: dict[str, dict[str, Any]]) -> None:
    assert "cold board" in results["hat_transformer/wmt14ende_cpu_raspberrypi"]["remark"]
    assert results["nb201_edge/edgetpu_hwnasbench"]["n"] < results["nb201_edge/edgetpu_int8_eagle"]["n"]


def test_the_noise_is_estimated_from_repeated_work(results: dict[str, dict[str, Any]]) -> None:
    noise = results["nb201_edge/jetson_nano_fp16"]
    assert 0 < noise["noise_floor"] < 0.1
    assert "share a deployed graph" in noise["noise_floor_how"]
    assert results["nb201_edge/edgetpu_int8_eagle"]["campaigns_mean_error"] > 0
    assert results["fbnet_help/titan_rtx_64"]["campaigns_mean_error"] is None


def test_the_table_is_for_people_and_notes_say_what_is_missing(copy: Path) -> None:
    keep_only("ofa", "ncnn", "nb201_help", folder=copy)
    done = printed("prediction", "--fit", str(copy / "fit"), "--test", str(copy / "test"))
    assert done.out.startswith("command   python -m benchmarks.prediction --fit")
    assert "ofa_mbv3_help/v100_64" in done.out and "ncnn_networks/all" in done.out
    assert "note: nb201_help.csv: skipped" in done.err


def test_descriptions_are_found_in_the_folder_above_and_by_the_environment(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / "elsewhere").mkdir()
    (copy / "fit" / "nb201_archs.csv").rename(copy / "nb201_archs.csv")
    (copy / "fit" / "fbnet_archs.csv").rename(copy / "elsewhere" / "fbnet_archs.csv")
    folders = Folders.of(copy / "fit", copy / "test", None)
    assert [len(list(space.cases(folders))) for space in SPACES] == [5, 0, 0, 2]
    assert any("fbnet_archs.csv is in none of" in note for note in folders.notes)
    monkeypatch.setenv("HWTICKETS_DATA", str(copy / "elsewhere"))
    assert len(list(SPACES[2].cases(Folders.of(copy / "fit", copy / "test", None)))) == 2


def test_a_device_that_only_one_side_has_is_skipped(copy: Path) -> None:
    file = copy / "test" / "ofa_mbv3_help.csv"
    file.write_text(file.read_text().replace("v100_64_ms", "v100_9_ms", 1))
    folders = Folders.of(copy / "fit", copy / "test", None)
    assert [case.device for case in SPACES[3].cases(folders)] == ["ofa_mbv3_help/titan_rtx_1"]
    assert any("v100_64_ms skipped" in note for note in folders.notes)


@pytest.mark.parametrize(
    ("file", "old", "new", "wrong"),
    [
        ("fit/ofa_mbv3_help.csv", "\n", "\n1,2\n", "ofa_mbv3_help.csv:2: 2 cells, the header has 3"),
        ("test/ofa_mbv3_help.csv", "net_idx", "network", "ofa_mbv3_help.csv:1: there is no column net_idx"),
        ("test/ofa_mbv3_help.csv", ".", ",", "cells, the header has 3"),
        ("test/ofa_mbv3_help.csv", ".", "x", "is no number"),
        ("test/ofa_mbv3_help.csv", ",", ",-", "ms is no latency"),
        ("test/ofa_mbv3_help.csv", ",", "00000,", "does not describe network"),
        ("fit/ofa_mbv3_archs.csv", " 3", " x", "ofa_mbv3_archs.csv:2: column ks"),
        ("fit/nb201_archs.csv", "nor_conv_3x3~0", "conv~0", "nb201_archs.csv"),
    ],
)
def test_a_damaged_file_is_one_line(copy: Path, file: str, old: str, new: str, wrong: str) -> None:
    damaged = copy / file
    keep_only(damaged.name.partition("_")[0], folder=copy)
    text = damaged.read_text()
    head, line_break, body = text.partition("\n") if old not in ("\n", "net_idx") else ("", "", text)
    damaged.write_text(head + line_break + body.replace(old, new, 1))
    sides = ("--fit", str(copy / "fit"), "--test", str(copy / "test"))
    error = printed("prediction", *sides, "--json", code=1).err.strip().splitlines()[-1]
    assert error.startswith("error: ") and wrong in error


def test_one_folder_alone_is_a_usage_error(split: Path) -> None:
    assert "belong together" in printed("prediction", "--fit", str(split), code=2).err
    missing = ("--fit", str(split / "no"), "--test", str(split / "test"))
    assert "is no folder" in printed("prediction", *missing, code=2).err


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), st.integers(0, 200), st.booleans())
def test_random_damage_is_rows_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, place: int, cut: bool
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["arch_idx", "a_ms"], *[[str(index), f"{index}.5"] for index in range(20)]])
    data = text.getvalue().encode()
    file = tmp_path_factory.getbasetemp() / "damaged.csv"
    file.write_bytes(data[:place] + noise + (b"" if cut else data[place:]))
    try:
        rows = read_rows(file, ["arch_idx"])
        values = [row.latency_ms("a_ms") for row in rows if "a_ms" in row.cells]
    except HwticketsError as error:
        assert "\n" not in str(error)
    else:
        assert all(value > 0 or value != value for value in values)
