"""How far two networks' outputs are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwtickets.deploy.numerics import compare_outputs, tolerance_of
from hwtickets.errors import NumericsError

EXPECTED = np.array([[1.0, 0.0], [0.0, 4.0]], np.float32)


def test_errors_are_shares_of_the_largest_output_and_name_the_worst_image() -> None:
    found = compare_outputs(EXPECTED, EXPECTED + np.float32([[0, 0], [0, 0.5]]), 0.2, "classification")
    assert (found.max_abs_error, found.max_rel_error, found.worst_image) == (0.5, 0.125, 1)
    assert found.ok and found.cosine == pytest.approx(1)
    assert found.as_dict()["top1_agreement"] == 1.0


def test_the_cosine_is_that_of_the_image_where_it_is_smallest() -> None:
    found = compare_outputs(EXPECTED, np.float32([[0, 1], [0, 4]]), 0.2, "classification")
    assert found.cosine == 0 and found.agreement == {"top1_agreement": 0.5}


def test_what_is_not_a_number_is_beyond_every_tolerance() -> None:
    actual = EXPECTED.copy()
    actual[0, 1] = np.nan
    found = compare_outputs(EXPECTED, actual, 10.0, "classification")
    assert not found.ok and found.worst_image == 0
    with pytest.raises(NumericsError, match=r"m\.onnx: outputs differ .*; because of x; export"):
        found.require_ok(Path("m.onnx"), "because of x")


@pytest.mark.parametrize(
    ("precision", "device", "runtime", "tolerance"),
    [
        ("fp32", "fp32", "onnxruntime 1.31", 1e-4),
        ("int8", "fp32", "onnxruntime 1.31", 0.2),
        ("fp32", "fp16", "tensorrt 10.3", 1e-2),
        ("fp32", "fp32", "trtexec 10.3", 1e-2),
    ],
)
def test_the_tolerance_is_that_of_the_coarser_arithmetic(
    precision: str, device: str, runtime: str, tolerance: float
) -> None:
    assert tolerance_of(precision, {"precision": device, "runtime": runtime}) == tolerance
