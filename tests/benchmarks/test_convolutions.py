from __future__ import annotations

import json
from pathlib import Path

from tests.benchmarks.commands import printed


def run(*arguments: str, code: int = 0) -> str:
    done = printed("convolutions", *arguments, code=code, HWTICKETS_DATA=None)
    return done.err if code else done.out


def test_convolutions_are_predicted_from_a_few_rows_of_the_shipped_tables() -> None:
    result = json.loads(run("--shares", "0.5%", "--seeds", "0", "--most", "40", "--json"))
    assert [point["precision"] for point in result["points"]] == ["fp32", "fp16", "int8"]
    for point in result["points"]:
        assert point["predicted"] == 4 * 40
        assert 300 < point["rows"] < 600
        assert point["table"]["median_error"] < point["MACs"]["median_error"]
        assert point["table"]["kendall_tau"] > 0.7


def test_both_campaigns_of_the_source_are_told_apart(tmp_path: Path) -> None:
    lines = ["conv_type,batch,c_in,h_in,w_in,c_out,kernel,stride,elt_fused,fp32_ms,fp16_ms,int8_ms"]
    for size in range(1, 31):
        for pixels, int8 in ((8, "0.02"), (10, "")):
            lines.append(
                f"Regular,32,{8 * size},{pixels},{pixels},64,1,1,0,{0.01 * size},{0.005 * size},{int8}"
            )
    (tmp_path / "op_tables").mkdir()
    (tmp_path / "op_tables" / "v100_tensorrt_conv.csv").write_text("\n".join(lines) + "\n")
    result = json.loads(run("--data", str(tmp_path), "--shares", "50%", "--seeds", "0", "--json"))
    assert {point["precision"]: point["rows"] for point in result["points"]} == {
        "fp32": 30,
        "fp16": 15,
        "int8": 15,
        "fp16, both campaigns": 30,
    }


def test_missing_measurements_are_one_line(tmp_path: Path) -> None:
    text = run("--data", str(tmp_path), code=2)
    assert text.startswith("error: there is no ") and text.count("\n") == 1
