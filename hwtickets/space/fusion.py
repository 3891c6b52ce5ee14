"""Which activations a runtime computes inside the operator before them.

Read off the optimised graphs of ONNX Runtime 1.31 on x86: convolutions take most piecewise linear and
sigmoidal activations. After a fused sum, and in batch norms that stay, which it runs as depthwise 1x1
convolutions, they take no clipped or leaky ones; products with weights take some where they have one row.
"""

from __future__ import annotations

_LATE = frozenset({"relu", "sigmoid", "tanh", "hardsigmoid", "hswish"})
_CONVOLUTION = _LATE | {"relu6", "leakyrelu"}
_ONE_ROW = frozenset({"relu", "sigmoid", "tanh", "leakyrelu"})


def fuses(kind: str, activation: str, residual: bool = False, rows: int = 1) -> bool:
    """Whether an activation costs no operator of its own.

    Args:
        kind: Of the operator before it.
        activation: e.g. "relu".
        residual: Whether that operator adds a tensor before the activation.
        rows: Rows of a product with weights.
    """
    if kind == "conv":
        return activation in (_LATE if residual else _CONVOLUTION)
    if kind == "batchnorm":
        return activation in _LATE
    if kind == "linear":
        return rows == 1 and activation in _ONE_ROW
    return kind == "add" and activation == "relu"
