from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwtickets.errors import HwticketsError
from hwtickets.runtimes import load


def test_a_model_from_memory_and_from_a_file_compute_the_same(model: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(model)
    from_memory, from_file = load(model), load(file)
    inputs = from_memory.random_inputs(seed=1)
    assert from_memory.input_names == ["x"]
    np.testing.assert_array_equal(from_memory.run(inputs)[0], from_file.run(inputs)[0])


def test_random_inputs_have_the_models_shape_and_follow_the_seed(model: bytes) -> None:
    session = load(model)
    assert session.random_inputs(0)["x"].shape == (1, 3, 8, 8)
    np.testing.assert_array_equal(session.random_inputs(3)["x"], session.random_inputs(3)["x"])
    assert not np.array_equal(session.random_inputs(3)["x"], session.random_inputs(4)["x"])


@pytest.mark.parametrize("damage", [b"", b"not a model", None])
def test_a_damaged_model_is_one_line(model: bytes, damage: bytes | None) -> None:
    broken = model[: len(model) // 2] if damage is None else damage
    with pytest.raises(HwticketsError, match="cannot load the given model") as caught:
        load(broken)
    assert "\n" not in str(caught.value)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match=r"there is no model at .*gone\.onnx"):
        load(tmp_path / "gone.onnx")
