from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables import LatencyTable
from hwtickets.tables.shipped import load_shipped
from tests import recorded_engine

STEM = "stem.conv + stem.relu"


@pytest.mark.parametrize("layers", ["trtexec-10.layers.json", "trtexec-11.layers.json"])
def test_the_layers_of_trtexec_10_and_11(
    imported: Callable[..., LatencyTable], samples: Path, layers: str
) -> None:
    table = imported(samples / layers, samples / "trtexec-10.profile.json", precision="fp16")
    assert {spec: row.latency_ms for spec, row in table.rows.items()} == {
        OperatorSpec("conv", 3, 8, 3, 2, 1, 32, 32, "relu6"): 0.012,
        OperatorSpec("conv", 8, 8, 5, 1, 8, 16, 16, "relu"): 0.02,
        OperatorSpec("conv", 8, 8, 1, 1, 1, 16, 16, residual=True): 0.009,
        OperatorSpec("pool", 8, 8, height=16, width=16): 0.005,
        OperatorSpec("linear", 8, 10): 0.014,
    }
    stem = table.rows[OperatorSpec("conv", 3, 8, 3, 2, 1, 32, 32, "relu6")]
    assert stem.runs == 500
    assert stem.spread_ms == pytest.approx(0.0124 - 0.012)
    assert table.provenance["skipped"] == {
        "layers that only move data (Reformat)": 1,
        "layers that only move data (shape_call)": 1,
    }
    # 0.06 ms of 0.1 ms: the profile times a reformatting and a layer that is not described, too.
    assert "60 % of the time of all layers (0.1 ms)" in table.provenance["notes"][0]


def test_the_layers_of_trex_8(imported: Callable[..., LatencyTable], samples: Path) -> None:
    table = imported(samples / "trex-8.graph.json", samples / "trex-8.profile.json", precision="int8")
    assert {spec: row.latency_ms for spec, row in table.rows.items()} == {
        OperatorSpec("conv", 3, 32, 3, 2, 1, 48, 48, "relu6"): 0.008,
        OperatorSpec("conv", 32, 32, 3, 1, 32, 24, 24, "relu6"): 0.006,
        OperatorSpec("conv", 32, 32, 1, 1, 1, 24, 24, residual=True): 0.007,
    }
    assert table.provenance["skipped"] == {
        "layers that only move data (Reformat)": 1,
        "computed in fp16, not int8": 1,
    }


def test_the_layers_of_torch_tensorrt(imported: Callable[..., LatencyTable], samples: Path) -> None:
    files = samples / "torch-tensorrt.engine-info.json", samples / "torch-tensorrt.layer-latency.json"
    table = imported(*files, precision="fp16")
    assert {spec: row.latency_ms for spec, row in table.rows.items()} == {
        OperatorSpec("conv", 3, 16, 3, 2, 1, 40, 40): pytest.approx(0.014),
        OperatorSpec("conv", 16, 16, 3, 1, 16, 20, 20): pytest.approx(0.022),
        OperatorSpec("linear", 16, 10): pytest.approx(0.011),
    }
    assert all(row.runs == 6 and row.spread_ms > 0 for row in table.rows.values())
    assert table.provenance["skipped"]["layers of the type kgen"] == 2


def test_the_layers_of_an_engine_on_a_gpu(imported: Callable[..., LatencyTable]) -> None:
    engine = Path(__file__).parents[2] / "data" / "trtexec" / "titan-rtx-mobilenetv2"
    table = imported(engine / "layers.json", engine / "profile.json", precision="int8")
    found = {spec: row.latency_ms for spec, row in table.rows.items()}
    # MobileNetV2: its stem, a depthwise convolution, a projection into a sum and one without, its head.
    assert {
        OperatorSpec("conv", 3, 32, 3, 2, 1, 224, 224, "relu6"),
        OperatorSpec("conv", 144, 144, 3, 2, 144, 56, 56, "relu6"),
        OperatorSpec("conv", 144, 24, 1, 1, 1, 56, 56, residual=True),
        OperatorSpec("conv", 144, 32, 1, 1, 1, 28, 28),
        OperatorSpec("conv", 320, 1280, 1, 1, 1, 7, 7, "relu6"),
        OperatorSpec("linear", 1280, 1000),
    } <= set(found)
    assert sum(row.networks for row in table.rows.values()) == 53
    assert found[OperatorSpec("conv", 144, 144, 3, 2, 144, 56, 56, "relu6")] == 0.004608


def test_a_recorded_engine_gives_the_rows_of_the_shipped_table(
    imported: Callable[..., LatencyTable], tmp_path: Path
) -> None:
    layers, times = tmp_path / "layers.json", tmp_path / "profile.json"
    layers.write_text(recorded_engine.layer_info())
    times.write_text(recorded_engine.profile())
    table = imported(layers, times, precision="fp16")
    shipped = load_shipped("jetson-orin-nano", "tensorrt", "fp16")
    # What was recorded of a layer has only its first input: no sums are seen.
    layers_of = {spec: row for spec, row in shipped.rows.items() if spec.kind in ("conv", "linear")}
    alone = {spec: row for spec, row in layers_of.items() if not spec.residual}
    summed = {spec for spec in layers_of if spec.residual}
    assert len(alone) > 20
    for spec, row in alone.items():
        if replace(spec, residual=True) not in summed:
            assert table.rows[spec].latency_ms == pytest.approx(row.latency_ms, rel=1e-4)
    assert table.provenance["skipped"] == {
        "layers that only move data (NoOp)": 77,
        "layers of the type PointWiseV2": 35,
        "layers that only move data (Reformat)": 1,
        # Nor was the window of the mean over the image.
        "pooling of a part of the image": 1,
    }


def test_the_trex_form_of_torch_tensorrt_has_commas_too_many(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    rows = [
        f'  {{\n    "name": "{name}",\n    "timeMs": {ms * 10},\n    "averageMs": {ms},\n'
        f'    "percentage": {share},\n  }}'
        for name, ms, share in ((STEM, 0.03, 75.0), ("another", 0.01, 25.0))
    ]
    (tmp_path / "times.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")
    table = imported(samples / "trtexec-10.layers.json", tmp_path / "times.json", precision="fp16")
    assert [(row.latency_ms, row.runs) for row in table.rows.values()] == [(0.03, 10)]
    assert table.provenance["skipped"]["layers without a time"] == 6


def test_the_perfetto_form_of_torch_tensorrt_says_what_to_do(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    (tmp_path / "trace.json").write_text(json.dumps([{"name": STEM, "ph": "X", "ts": 0, "dur": 300.0}]))
    with pytest.raises(HwticketsError, match="profile_format='trex'"):
        imported(samples / "trtexec-10.layers.json", tmp_path / "trace.json", precision="fp16")


def test_another_precision_holds_nothing_of_this_engine(
    imported: Callable[..., LatencyTable], samples: Path
) -> None:
    files = samples / "trtexec-10.layers.json", samples / "trtexec-10.profile.json"
    with pytest.raises(HwticketsError, match=r"computed in fp16, not fp32 \(5\)"):
        imported(*files, precision="fp32")


@pytest.mark.parametrize(
    "names", [["trtexec-10.layers.json"], ["trtexec-10.profile.json"], ["trtexec-10.layers.json"] * 2]
)
def test_both_files_are_needed(
    imported: Callable[..., LatencyTable], samples: Path, names: list[str]
) -> None:
    with pytest.raises(UsageError, match="give two files of one engine"):
        imported(*(samples / name for name in names), precision="fp16", format="tensorrt")


def test_files_of_different_engines_are_refused(imported: Callable[..., LatencyTable], samples: Path) -> None:
    with pytest.raises(HwticketsError, match=r"trex-8\.profile\.json: it times no layer of .*trtexec-10"):
        imported(samples / "trtexec-10.layers.json", samples / "trex-8.profile.json", precision="fp16")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"timeMs": 1.0}, "the percentage of the layer .* does not fit"),
        ({"averageMs": 1.0}, "timeMs and averageMs of the layer .* do not fit 500 runs"),
        ({"medianMs": 5.0}, "medianMs of the layer .* is far from its averageMs"),
        ({"medianMs": -0.1}, "is -0.1, not a number of milliseconds"),
        ({"timeMs": None}, "is missing"),
        ({"percentage": "much"}, "the percentage of"),
        ({"name": 5}, "the layer '5' is there twice"),
    ],
)
def test_times_that_contradict_one_another_are_damage(
    imported: Callable[..., LatencyTable],
    samples: Path,
    tmp_path: Path,
    change: dict[str, Any],
    reason: str,
) -> None:
    profile = json.loads((samples / "trtexec-10.profile.json").read_text())
    profile[2].update(change)
    (tmp_path / "profile.json").write_text(json.dumps(profile))
    with pytest.raises(HwticketsError, match=rf"profile\.json: .*{reason}"):
        imported(samples / "trtexec-10.layers.json", tmp_path / "profile.json", precision="fp16")


def change_stem(samples: Path, folder: Path, **change: Any) -> Path:
    """The sample of the layers with some fields of the first convolution changed."""
    content = json.loads((samples / "trtexec-10.layers.json").read_text())
    content["Layers"][1].update(change)
    (folder / "layers.json").write_text(json.dumps(content))
    return folder / "layers.json"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Kernel": [3, 1]}, "kernel or stride that is not square"),
        ({"Kernel": [3, 3, 3]}, "convolutions that are not in two dimensions"),
        ({"Activation": "SIGMOID"}, "convolutions with the activation SIGMOID"),
        ({"OutMaps": 33}, "convolutions with weights of another layer"),
        ({"Groups": 0}, "convolutions with weights of another layer"),
        ({"Stride": [1, 1]}, "padding that changes the size of the image"),
        ({"Dilation": [1, 2]}, "dilation that is not square"),
        ({"Inputs": []}, "layers without shapes (CaskConvolution)"),
        ({"Inputs": "x"}, "layers without shapes (CaskConvolution)"),
        ({"ParameterType": "Deconvolution"}, "layers of the type CaskConvolution"),
    ],
)
def test_layers_that_a_table_cannot_hold_are_counted_by_reason(
    imported: Callable[..., LatencyTable],
    samples: Path,
    tmp_path: Path,
    change: dict[str, Any],
    reason: str,
) -> None:
    layers = change_stem(samples, tmp_path, **change)
    table = imported(layers, samples / "trtexec-10.profile.json", precision="fp16")
    assert table.provenance["skipped"][reason] == 1
    assert len(table.rows) == 4


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        (["one", "two"], "only the names of layers; build the engine with --profilingVerbosity=detailed"),
        ([{"Name": "a"}, {"Name": "a"}], "the layer 'a' has no name of its own"),
        ([{}], "has no name of its own"),
        ([5], "has no name of its own"),
        ([], "it times no layer"),
    ],
)
def test_layers_without_details_or_names_are_refused(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path, layers: list[Any], reason: str
) -> None:
    (tmp_path / "layers.json").write_text(json.dumps({"Layers": layers}))
    with pytest.raises(HwticketsError, match=reason):
        imported(tmp_path / "layers.json", samples / "trtexec-10.profile.json", precision="fp16")


def test_an_engine_for_several_images_is_a_table_of_that_batch(
    imported: Callable[..., LatencyTable], samples: Path, tmp_path: Path
) -> None:
    text = (samples / "trtexec-10.layers.json").read_text()
    content = json.loads(text)
    for layer in content["Layers"]:
        for tensor in [*layer["Inputs"], *layer["Outputs"]]:
            tensor["Dimensions"][0] *= 32
    (tmp_path / "layers.json").write_text(json.dumps(content))
    profile = samples / "trtexec-10.profile.json"
    table = imported(tmp_path / "layers.json", profile, precision="fp16", batch=32)
    assert (table.batch, len(table.rows)) == (32, 5)
    with pytest.raises(HwticketsError, match="batch 32 instead of 1"):
        imported(tmp_path / "layers.json", profile, precision="fp16")
