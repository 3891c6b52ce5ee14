from __future__ import annotations

import ast
import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from hwtickets.deploy.packed import pack_bundle, packed, packed_size, unpack_bundle, unpacked
from hwtickets.deploy.two_four import pruned
from hwtickets.errors import HwticketsError
from hwtickets.resources import resource_dir
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model


def _network(values: np.ndarray, type_: int = TensorProto.FLOAT) -> bytes:
    """A network that holds one weight."""
    weight = helper.make_tensor("w", type_, [len(values)], values.tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"], name="add")],
        "g",
        [helper.make_tensor_value_info("x", type_, [len(values)])],
        [helper.make_tensor_value_info("y", type_, [len(values)])],
        [weight],
    )
    data: bytes = helper.make_model(graph).SerializeToString()
    return data


def _masked(share: float, count: int = 40_000) -> np.ndarray:
    random = np.random.default_rng(0)
    values = random.standard_normal(count).astype(np.float32)
    values[random.random(count) < share] = 0
    return values


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(width=32) | st.just(-0.0) | st.just(0.0), max_size=600),
    st.sampled_from([TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8]),
)
def test_every_bit_comes_back(numbers: list[float], type_: int) -> None:
    stored = {TensorProto.FLOAT: "<f4", TensorProto.FLOAT16: "<f2", TensorProto.INT8: "<i1"}[type_]
    model = _network(np.frombuffer(np.array(numbers, np.float32).tobytes(), stored), type_)
    assert unpacked(packed(model)) == model


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_zeros_cost_a_bit_each_and_less_than_deflate_takes(share: float) -> None:
    model = _network(_masked(share))
    data = packed(model)
    assert unpacked(data) == model
    assert len(data) < len(zlib.compress(model, 9))
    assert len(data) < (1.02 - share + 1 / 32) * len(model)


def test_a_whole_network_in_2_4_comes_back() -> None:
    builder = GraphBuilder(16, 8, 8)
    builder.conv("body", "wide", builder.graph.input, 32, 3, activation="relu")
    model = pruned(skeleton_model(builder.graph))
    assert unpacked(packed(model)) == model
    assert len(packed(model)) < 0.6 * len(model)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damage_is_one_line_and_never_another_network(data: st.DataObject) -> None:
    model = _network(_masked(0.5, 600))
    whole = packed(model)
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["cut", "flip"]))
    damaged = (
        whole[:place] if kind == "cut" else whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
    )
    try:
        assert unpacked(damaged) == model
    except HwticketsError as error:
        assert "is damaged; copy or export it again" in str(error)


def test_a_foreign_archive_is_damaged() -> None:
    buffer = io.BytesIO()
    np.savez(buffer, other=np.zeros(3))
    with pytest.raises(HwticketsError, match="is damaged"):
        unpacked(buffer.getvalue())


def test_a_bundle_is_packed_and_the_program_in_it_unpacks_it(tmp_path: Path) -> None:
    model = _network(_masked(0.8))
    (tmp_path / "model.onnx").write_bytes(model)
    size = pack_bundle(tmp_path)
    assert not (tmp_path / "model.onnx").exists()
    assert packed_size(tmp_path) == size
    assert (size.size_bytes, size.packed_bytes) == (len(model), (tmp_path / "model.onnx.npz").stat().st_size)
    assert str(size).startswith("0.160 MB as 0.03")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "unpack.py")], capture_output=True, text=True, check=True
    )
    assert f"{len(model)} bytes" in done.stdout
    assert (tmp_path / "model.onnx").read_bytes() == model


def test_a_packed_bundle_is_unpacked_here_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    model = _network(_masked(0.8))
    (tmp_path / "model.onnx").write_bytes(model)
    pack_bundle(tmp_path)
    unpack_bundle(tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == model
    (tmp_path / "model.onnx").unlink()
    (tmp_path / "model.onnx.npz").write_bytes(b"PK not an archive")
    with pytest.raises(HwticketsError, match=r"model\.onnx\.npz is damaged"):
        unpack_bundle(tmp_path)
    done = subprocess.run([sys.executable, str(tmp_path / "unpack.py")], capture_output=True, text=True)
    assert done.returncode == 1
    assert "is damaged" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "model.onnx").exists()


def test_what_is_no_network_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no model at"):
        pack_bundle(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(HwticketsError, match="export the ticket again"):
        pack_bundle(tmp_path)
    assert (tmp_path / "model.onnx").exists()


def test_the_program_that_unpacks_is_python_3_8() -> None:
    text = (resource_dir("export") / "packed" / "unpack.py").read_text()
    ast.parse(text, feature_version=(3, 8))
    with pytest.raises(SyntaxError):
        ast.parse(text + "match text:\n    case _: pass\n", feature_version=(3, 8))


def test_the_example_is_one_that_onnx_takes() -> None:
    onnx.checker.check_model(onnx.load_model_from_string(_network(_masked(0.5))))
