from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from hwtickets.errors import HwticketsError
from hwtickets.runtimes.to_build import ANEW, ToBuild


def _model(*shape: int | str, operator: str = "Relu", **metadata: str) -> bytes:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "toy", ends[:1], ends[1:])
    proto = helper.make_model(graph)
    helper.set_model_props(proto, metadata)
    serialized: bytes = proto.SerializeToString()
    return serialized


def test_a_batch_that_is_left_open_is_found() -> None:
    assert ToBuild.of(_model("batch", 3, 8, 8)).free == {"x": (3, 8, 8)}
    assert ToBuild.of(_model(1, 3, 8, 8)).free == {}


def test_a_network_with_more_left_open_is_refused() -> None:
    with pytest.raises(HwticketsError, match="the input x leaves more open than its batch; export it"):
        ToBuild.of(_model("batch", 3, "height", 8))


def test_a_network_can_ask_to_be_built_anew() -> None:
    assert ToBuild.of(_model(1, **{ANEW: "1"})).anew
    assert not ToBuild.of(_model(1, ticket="a")).anew


def test_a_graph_in_8_bits_is_told() -> None:
    assert ToBuild.of(_model(1, operator="QuantizeLinear")).quantized
    assert not ToBuild.of(_model(1)).quantized


def test_what_is_no_network_is_left_to_the_builder() -> None:
    assert ToBuild.of(b"no model") == ToBuild()
