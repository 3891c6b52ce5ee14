from __future__ import annotations

import json
from pathlib import Path

import torch

from benchmarks.sparse import layer_rows, product_rows
from tests.benchmarks.commands import printed

CONFIG = """
supernet: {name: mobile, sizes: {stages: [[16, 1, 1], [32, 1, 2]], expand_ratio: 2, kernel_sizes: [3]}}
latency: 60%
"""


def test_networks_are_timed_side_by_side_and_packed(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    asked = ("--config", str(tmp_path / "tiny.yaml"), "--runs", "5", "--json")
    done = printed("sparse", *asked, HWTICKETS_HOME=str(tmp_path / "home"))
    result = json.loads(done.out)
    networks = result["networks"]
    assert list(networks) == ["dense", "dense again", "2:4", "masked 50 %", "masked 90 %"]
    assert networks["dense"]["zeros"] < 0.1 < 0.4 < networks["2:4"]["zeros"] <= 0.55
    assert 0.3 < networks["masked 50 %"]["zeros"] < networks["masked 90 %"]["zeros"]
    assert networks["masked 90 %"]["packed_bytes"] < networks["dense"]["packed_bytes"]
    assert networks["dense"]["ratio"]["median"] == 1
    assert result["layers"] == []
    assert (result["products"] is None) == (not torch.cuda.is_available())


def test_layers_and_shapes_that_were_not_measured_say_so() -> None:
    layer = {"node": "a", "shape": [8, 4], "pattern": "2:4", "kernel": "not told"}
    rows = layer_rows([{**layer, "dense_ms": 0.5, "sparse_ms": 0.25, "ratio": 0.5}])
    assert rows == [["a", "8x4", "2:4", "not told", "500.0 us", "250.0 us", "0.500"]]
    rows = layer_rows([{**layer, "dense_ms": None, "sparse_ms": None, "ratio": None}])
    assert rows[0][-3:] == ["-", "-", "-"]
    shape = {"c_out": 64, "c_in": 64, "rows": 8}
    rows = product_rows([{**shape, "refused": "no kernel"}, {**shape, "dense_ms": 0.3, "sparse_ms": 0.2}])
    assert rows[0][2:] == ["refused", "refused", "no kernel"]
    assert rows[1][2:] == ["300.0 us", "200.0 us", "1.50"]
