from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from hwtickets.errors import DeviceError
from hwtickets.runtimes.tensorrt_layers import EngineLayer, SparsityLog, engine_layers
from tests import recorded_engine

DATA = Path(__file__).parents[1] / "data" / "trtexec"


def _layers(file: str) -> list[EngineLayer]:
    return engine_layers((DATA / file).read_text())


@pytest.mark.parametrize(("file", "precision"), [("layers-10.json", "fp32"), ("layers-11.json", "fp16")])
def test_both_forms_of_the_inspector_tell_nodes_precision_and_kernel(file: str, precision: str) -> None:
    layer = _layers(file)[0]
    assert layer.nodes == ("/stem/Conv", "/stem/Relu")
    assert (layer.precision, layer.kernel, layer.sparse) == (precision, "kernel_of_the_stem", False)


@pytest.mark.parametrize("file", ["sparse-10.json", "sparse-11.json"])
def test_a_kernel_is_sparse_by_its_name_and_not_by_the_flag_of_its_weights(file: str) -> None:
    layers = {layer.nodes[0]: layer for layer in _layers(file) if layer.nodes}
    assert [layer.sparse for layer in layers.values()] == [False, True, False, None]
    assert layers["body.narrow"].flagged and not layers["body.narrow"].sparse


def test_a_kernel_whose_name_only_looks_like_it_is_dense() -> None:
    assert not EngineLayer("a", kernel="sm80_xmma_fprop_spatial_conv_wsp4x").sparse
    assert EngineLayer("a", kernel="ampere_h16816gemm_sp_128x128").sparse


def test_an_engine_without_details_has_names_only() -> None:
    layers = engine_layers(json.dumps({"Layers": ["stem.conv + PWN(stem.relu)", "Reformatting CopyNode 1"]}))
    assert [layer.nodes for layer in layers] == [("stem.conv", "stem.relu"), ()]
    assert layers[0].sparse is None


def test_names_of_a_recorded_engine_are_taken_apart_into_nodes() -> None:
    layers = engine_layers(recorded_engine.layer_info())
    computing = [layer for layer in layers if layer.nodes]
    # 53 convolutions and 35 activations of their own, the mean, and the reshape in front of the classifier.
    assert len(layers) == 167
    assert Counter(layer.kind for layer in computing) == {
        "Convolution": 53, "PointWise": 35, "Pooling": 1, "NoOp": 1
    }  # fmt: skip
    assert {layer.precision for layer in layers} == {"fp16"}
    pointwise, classifier = computing[1], computing[-1]
    assert pointwise.nodes == (
        "/features_0/2/clamp_min_rhs",
        "/features_0/2/clamp_min_rhs_broadcast",
        "/features_0/2/clamp_max_rhs",
        "/features_0/2/clamp_max_rhs_broadcast",
        "[ELEMENTWISE]-[aten_ops.clamp.default]-[/features_0/2/clamp_max]",
        "[ELEMENTWISE]-[aten_ops.clamp.default]-[/features_0/2/clamp_min]",
    )
    assert classifier.nodes == (
        "[MATRIX_MULTIPLY]-[aten_ops.addmm.default]-[/classifier/1/addmm_mm]",
        "/classifier/1/addmm_constant_0",
        "/classifier/1/addmm_add_lhs_broadcast",
        "[ELEMENTWISE]-[aten_ops.addmm.default]-[/classifier/1/addmm_add]",
    )


def test_brackets_of_a_node_stay_its_own() -> None:
    layers = engine_layers(json.dumps({"Layers": ["PWN(PWN(a (1)), b) + c(2)", "PWN(cut off"]}))
    assert [layer.nodes for layer in layers] == [("a (1)", "b", "c(2)"), ("cut off",)]


def test_the_log_names_what_is_eligible_and_what_was_picked() -> None:
    found = SparsityLog.parsed(
        [
            "(Sparsity) Layers eligible for sparse math: body.wide, body.narrow",
            "(Sparsity) TRT inference plan picked sparse implementation for layers: body.wide",
        ]
    )
    assert found == SparsityLog(("body.wide", "body.narrow"), ("body.wide",))
    nothing = SparsityLog.parsed(["(Sparsity) TRT inference plan picked sparse implementation for layers: "])
    assert nothing == SparsityLog((), ())
    assert SparsityLog.parsed(["a warning"]) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"Layers": 1}', '{"Layers": [{"LayerType": "conv"}]}'])
def test_another_form_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(DeviceError, match="the layers of an engine in an unknown form"):
        engine_layers(text)
