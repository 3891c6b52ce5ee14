from __future__ import annotations

from typing import Any

import onnx
import pytest
import torch
from onnxscript import opset18
from torch import nn

from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.torch_operators import operators_read_once

SHAPE = (1, 4, 4)


def _operators(model: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(model).graph.node]


def _leaky(x: Any) -> Any:
    return opset18.LeakyRelu(x, alpha=0.5)


def test_a_users_own_operators_and_ours_do_not_meet() -> None:
    before = export_onnx(nn.ReLU(), SHAPE)
    table = {torch.ops.aten.relu.default: _leaky}
    own = torch.onnx.export(
        nn.ReLU().eval(),
        (torch.zeros(1, *SHAPE),),
        dynamo=True,
        custom_translation_table=table,
        verbose=False,
    )
    assert own is not None
    assert _operators(own.model_proto.SerializeToString()) == ["LeakyRelu"]
    assert _operators(before) == ["Relu"]
    assert export_onnx(nn.ReLU(), SHAPE) == before


def test_a_torch_without_that_table_exports_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.onnx._internal.exporter import _registration

    with monkeypatch.context() as patch:
        patch.delattr(_registration, "ONNXRegistry")
        with operators_read_once():
            pass
    with pytest.raises(ValueError, match="inside"), operators_read_once():
        raise ValueError("inside")
    assert _operators(export_onnx(nn.ReLU(), SHAPE)) == ["Relu"]
