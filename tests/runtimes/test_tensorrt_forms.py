from __future__ import annotations

import pytest

from hwtickets.runtimes.tensorrt_forms import with_nearest_form


@pytest.mark.parametrize(
    ("operator", "form"),
    [
        ("LayerNormalization", "nearest supported form: ReduceMean, Sub, Pow, Sqrt and Div"),
        ("DequantizeLinear", "nearest supported form: symmetric S8"),
        ("SomethingOdd", "replace it in the network"),
    ],
)
def test_a_refused_operator_comes_with_what_to_do_instead(operator: str, form: str) -> None:
    text = with_nearest_form(f"TensorRT 8.5.2 refuses the operator {operator} (body/x): it is not supported")
    assert form in text
    assert "\n" not in text


def test_another_failure_stays_as_it_is() -> None:
    assert with_nearest_form("trtexec failed: out of memory") == "trtexec failed: out of memory"
