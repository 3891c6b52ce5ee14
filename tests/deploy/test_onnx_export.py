from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hwtickets import api
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.layers import layer_times
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.deploy.onnx_metadata import model_metadata
from hwtickets.deploy.opsets import at_opset
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import HwticketsError
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.sparsity.ticket import Ticket

QUIET = Progress(quiet=True)


@pytest.fixture(scope="module")
def dynamic(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle for any number of images, in opset 17."""
    folder = tmp_path_factory.mktemp("dynamic") / "bundle"
    return api.export(ticket_folder, "onnx", folder, QUIET, opset=17, dynamic_batch=True)


def _sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_images_at_once(ticket_folder: Path, dynamic: Path, count: int) -> None:
    images = read_bundle(dynamic).samples.inputs[:count]
    expected = Ticket.load(ticket_folder).module()(torch.from_numpy(images)).numpy()
    (actual,) = load(dynamic / "model.onnx").run({"x": images})
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_free_batch_and_the_older_opset_are_said(dynamic: Path) -> None:
    model = onnx.load(dynamic / "model.onnx")
    facts = read_bundle(dynamic).facts
    assert _sizes(model.graph.input[0]) == ["batch", 1, 12, 12] == facts["input"]["shape"]
    assert _sizes(model.graph.output[0]) == ["batch", 10] == facts["output"]["shape"]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert (facts["opset"], model.ir_version) == (17, 8)
    assert api.verify(dynamic, "cpu", 20)["max_rel_error"] < 1e-4


def test_every_tensor_has_a_type_and_a_shape(dynamic: Path) -> None:
    model = onnx.load(dynamic / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    known = {value.name: _sizes(value) for value in (*model.graph.value_info, *model.graph.output)}
    made = {name for node in model.graph.node for name in node.output}
    assert made <= set(known)
    assert all(all(shape) for shape in known.values()), "every size is a number or has a name"
    assert not any(isinstance(size, str) for shape in known.values() for size in shape[1:])
    assert known[next(name for name in known if name.startswith("blocks.1"))][0] == "batch"


def test_the_model_can_be_read_without_hwtickets(dynamic: Path) -> None:
    entries = {entry.key: entry.value for entry in onnx.load(dynamic / "model.onnx").metadata_props}
    facts = json.loads(entries["hwtickets.model"])
    assert (entries["task"], entries["precision"]) == ("classification", "fp32")
    assert entries["classes"].split(", ") == [str(name) for name in facts["classes"]]
    assert (entries["resolution"], entries["input_range"]) == ("12", "0 to 1")
    mean, std = facts["preprocessing"]["mean"][0], facts["preprocessing"]["std"][0]
    assert entries["x_range"] == f"{-mean / std:.4g} to {(1 - mean) / std:.4g}"


def test_a_preprocessing_of_another_kind_is_left_as_it_is() -> None:
    facts = {"ticket": "t", "task": "mine", "precision": "fp32", "classes": [], "preprocessing": {"scale": 2}}
    assert "x_range" not in model_metadata(facts)
    assert json.loads(model_metadata(facts)["hwtickets.model"])["preprocessing"] == {"scale": 2}


def test_weights_beyond_one_file_are_refused_before_the_export() -> None:
    with torch.device("meta"):
        large = nn.Linear(24_000, 24_000, bias=False)
    with pytest.raises(HwticketsError, match=r"weights take 2\.30 GB, one ONNX file holds 2\.15 GB.*--size"):
        export_onnx(large, (1, 1, 24_000))


def test_a_network_that_contradicts_itself_is_not_written(dynamic: Path, tmp_path: Path) -> None:
    model = onnx.load(dynamic / "model.onnx")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 11
    with pytest.raises(HwticketsError, match="the network contradicts itself"):
        write_onnx(model.SerializeToString(), tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01\x02", b"PK\x03\x04 a zip", b"\x0a\x03abc"])
def test_what_is_no_network_is_one_line(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match=r"the given model (is damaged or not ONNX|holds no network)"):
        write_onnx(content, tmp_path / "model.onnx", {})
    assert not list(tmp_path.iterdir())


class _Tokens(nn.Module):
    """Attention with its softmax, which the slimming rewrites."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 16, 4, 4)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(self.patch(x).flatten(2).transpose(1, 2)).mean(1))


@torch.no_grad()
def test_every_node_leads_back_to_a_module_and_attention_steps_down() -> None:
    torch.manual_seed(0)
    model = _Tokens().eval()
    exported = export_onnx(model, (1, 12, 12))
    names = [node.name for node in onnx.load_model_from_string(exported).graph.node]
    assert {name.split("/")[0].split(".")[0] for name in names} == {"patch", "layer", "head"}
    assert len(set(names)) == len(names)
    x = torch.randn(1, 1, 12, 12)
    (actual,) = load(at_opset(exported, 17)).run({"x": x.numpy()})
    np.testing.assert_allclose(actual, model(x).numpy(), rtol=1e-4, atol=1e-5)


class _Patches(nn.Module):
    """Patches, each through two products with a GELU between them."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.expand, self.project = nn.Linear(16, 64), nn.Linear(64, 16)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return (tokens + self.project(F.gelu(self.expand(tokens)))).mean(1)


@torch.no_grad()
def test_a_gelu_is_one_layer_of_onnx_runtime_and_computes_what_pytorch_does() -> None:
    torch.manual_seed(0)
    network, x = _Patches().eval(), torch.randn(1, 3, 16, 16)
    model = export_onnx(network, (3, 16, 16))
    (actual,) = load(model).run({"x": x.numpy()})
    np.testing.assert_allclose(actual, network(x).numpy(), atol=1e-6)
    layers = layer_times(model, (), open_bench(get_device("cpu")), x.numpy(), 1.0)
    (gelu,) = [layer for layer in layers if layer.operator == "Gelu"]
    assert gelu.fused == ("Div", "Erf", "Add", "Mul", "Mul")
    assert gelu.output_shape == (1, 16, 64) and "Erf" not in {layer.operator for layer in layers}
