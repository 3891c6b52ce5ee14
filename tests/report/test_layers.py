"""The layer explorer: its page, its table, its files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from hwtickets.report.layer_files import write_benchmark
from hwtickets.report.layers_page import CSV_TITLES
from tests.report.test_browser import BROWSER, open_page
from tests.report.test_build import Page, visible


def layer(name: str, block: str, time_ms: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "operator": "Conv",
        "block": block,
        "module": f"{block}.expand",
        "fused": ["Conv", "Relu"],
        "input_shape": [1, 8, 6, 6],
        "output_shape": [1, 16, 6, 6],
        "macs": 4608,
        "size_bytes": 4032,
        "precision": "fp32",
        "kernel": "",
        "sparse": None,
        "time_ms": time_ms,
        "share": time_ms / 4,
        "dense_ms": None,
        "sparse_ms": None,
        "sparse_ratio": None,
        **more,
    }


#: What a layer with 2:4 weights says besides.
SPARSE = {
    "kernel": "sm80_xmma_sparse_conv",
    "sparse": True,
    "dense_ms": 4.5,
    "sparse_ms": 3.25,
    "sparse_ratio": 3.25 / 4.5,
}


@pytest.fixture
def record() -> dict[str, Any]:
    latency = {"p10": 3.9, "p50": 4.0, "p90": 4.2, "p99": 5.0, "runs": 500, "clock": "CUDA events"}
    return {
        "schema": 1,
        "name": "demo/bundle-int8",
        "device": "orin",
        "runtime": "tensorrt",
        "precision": "int8",
        "ticket": "0123456789abcdef",
        "onnx_sha256": "ab" * 32,
        "fingerprint": {"runtime": "tensorrt 10.3.0"},
        "latency_ms": latency,
        "dense_latency_ms": {**latency, "p50": 8.0},
        "ratio": {"median": 0.5, "low": 0.49, "high": 0.52},
        "throughput_per_s": 250.0,
        "throughput": [
            {"batch": 8, "latency_ms": 16.0, "images_per_s": 500.0, "dense_images_per_s": 300.0},
            {"batch": 32, "not_available": "the graph has its batch of 1 built in"},
        ],
        "size_bytes": 2000000,
        "discarded_runs": 15,
        "builds": {"ticket": {"medians_ms": [4.0, 4.2], "spread_percent": 4.9}},
        "clocks_mhz": {"before": {"gpu": 918}, "after": {"gpu": 612}},
        "throttling": "15 runs discarded",
        "first_run": {"load_ms": 900.0, "first_ms": 20.0, "peak_bytes": 300000000, "runtime_bytes": 90000000},
        "energy": "not available: INA3221: there is no power monitor",
        "blocks": [{"name": "blocks.0", "ms": 3.0}],
        "samples_ms": {"ticket": [4.0], "dense": [8.0]},
        "layers": {
            "ticket": [
                layer("blocks.0.expand/1_Conv", "blocks.0", 3.0, **SPARSE),
                layer("session overhead", "session overhead", 1.0, module="", fused=[], operator=""),
            ],
            "dense": [
                layer("blocks.0.expand/1_Conv", "blocks.0", 5.0, sparse=False),
                layer("blocks.1.expand/2_Conv", "blocks.1", 2.5, sparse=False),
            ],
        },
    }


def test_the_page_shows_every_figure_and_both_networks(record: dict[str, Any], tmp_path: Path) -> None:
    page = write_benchmark(tmp_path, record)
    text = visible(page)
    for shown in (
        "demo/bundle-int8 on orin",
        "tensorrt 10.3.0 · int8 · ticket 0123456789abcdef",
        "0.500 ×",
        "95 % interval 0.490 to 0.520",
        "500 / s",
        "the graph has its batch of 1 built in",
        "4.9 % apart",
        "920 ms",
        "90 MB before the network",
        "there is no power monitor",
        "gpu 612",
        "before: gpu 918",
        "15 runs discarded",
        "yes 4.5000 3.2500 0.722 sm80_xmma_sparse_conv",
    ):
        assert shown in text, shown
    assert "blocks.1 not there" in text, "the ticket dropped the block"
    source = page.read_text(encoding="utf-8")
    assert Page(source).addresses == [] and "default-src 'none'" in source


def test_the_csv_holds_every_layer_unrounded(record: dict[str, Any], tmp_path: Path) -> None:
    record["layers"]["ticket"][0]["time_ms"] = 1 / 3
    write_benchmark(tmp_path, record)
    with (tmp_path / "layers.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == CSV_TITLES and len(rows) == 4
    first = rows[0]
    assert float(first["time_ms"]) == 1 / 3
    assert (first["network"], first["fused"], first["input_shape"]) == ("ticket", "Conv + Relu", "1×8×6×6")
    assert [row["sparse_kernel"] for row in rows] == ["yes", "not known", "no", "no"]
    assert [row["dense_ms"] for row in rows] == ["4.5", "", "", ""], "blank where there is no mask"
    assert float(first["sparse_ratio"]) == float(first["sparse_ms"]) / float(first["dense_ms"])


def test_the_record_is_kept_as_it_is(record: dict[str, Any], tmp_path: Path) -> None:
    write_benchmark(tmp_path, record)
    assert json.loads((tmp_path / "times.json").read_text()) == record


def test_a_runtime_without_a_profile_has_a_page_that_says_so(record: dict[str, Any], tmp_path: Path) -> None:
    record |= {"layers": {}, "blocks": "not available: PyTorch tells no times of its operators"}
    text = visible(write_benchmark(tmp_path, record))
    assert "Not shown: PyTorch tells no times of its operators." in text


def test_names_cannot_become_markup(record: dict[str, Any], tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script>\"' onclick=x"
    record["name"] = nasty
    record["layers"]["ticket"][0] |= {"name": nasty, "block": nasty, "kernel": nasty, "module": nasty}
    page = write_benchmark(tmp_path, record)
    assert "<script>alert(1)" not in page.read_text(encoding="utf-8")
    assert nasty in visible(page)


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_a_click_sorts_and_words_filter(record: dict[str, Any], tmp_path: Path) -> None:
    page = write_benchmark(tmp_path, record)
    clicks = """
    const times = [...document.querySelectorAll(".layers th")].find((th) => th.textContent === "Time (ms)");
    times.firstChild.click();
    find.value = "blocks dense"; find.dispatchEvent(new Event("input"));
    document.title = [...body.rows].map((row) => row.hidden ? "-" : row.dataset.ms).join(" ");
    """
    source = page.read_text(encoding="utf-8").replace("</script>", f"{clicks}</script>")
    page.write_text(source, encoding="utf-8")
    dom, console = open_page(page, tmp_path / "profile")
    assert console == []
    assert "<title>5.0 - 2.5 -</title>" in dom, "5 and 2.5 ms are the dense network's, longest first"
    assert "2 layers, 7.50 ms" in visible_output(dom)


def visible_output(dom: str) -> str:
    return " ".join(Page(dom).texts)
