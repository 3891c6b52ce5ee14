"""What TensorRT's parser refuses, and the nearest form that it takes."""

from __future__ import annotations

import re

_REFUSED = re.compile(r"refuses the operator (\w+)")
_PARSING = re.compile(r"While parsing node number \d+ \[(\w+)")
_NODE_NAME = re.compile(r"(?:Node name|name): *\"?([^\s\"]+)")
_REASON = re.compile(r"\[\d+\] (?:Assertion failed: (?:.*?\)|[^:]*): )?(.+)$", re.MULTILINE)
_QDQ = "symmetric S8 QuantizeLinear and DequantizeLinear: --precision int8 --device with a TensorRT device"

#: What each of them can be written as.
_FORMS = {
    "AffineGrid": "compute the grid when exporting, and keep GridSample",
    "Attention": "MatMul, Mul, Softmax and MatMul",
    "CenterCropPad": "Slice and Pad of fixed sizes",
    "Col2Im": "ConvTranspose, or Reshape and Transpose of fixed sizes",
    "CumProd": "Log, CumSum and Exp",
    "DeformConv": "GridSample before a plain Conv",
    "DFT": "MatMul with the constant matrix of the transform",
    "Gelu": "Div, Erf, Add and Mul",
    "GroupNormalization": "Reshape, InstanceNormalization, Mul and Add",
    "HardSwish": "HardSigmoid and Mul",
    "LayerNormalization": "ReduceMean, Sub, Pow, Sqrt and Div (opset 16 or below writes it so)",
    "MaxRoiPool": "RoiAlign",
    "MaxUnpool": "ConvTranspose or Resize",
    "Mish": "Softplus, Tanh and Mul",
    "NegativeLogLikelihoodLoss": "export the network without its loss",
    "RMSNormalization": "Mul, ReduceMean, Sqrt and Div",
    "SoftmaxCrossEntropyLoss": "export the network without its loss",
    "SwiGLU": "Split, Sigmoid and Mul",
    "Unique": "leave it to the program around the network",
    **dict.fromkeys(("ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"), _QDQ),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear"), _QDQ),
    **dict.fromkeys(("BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor"), "Mul, Div and Mod"),
    **dict.fromkeys(("Bernoulli", "Multinomial"), "RandomUniform and Less, or a constant"),
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"),
        "axes as constants: export it with hwtickets, or fold constants with onnxslim",
    ),
}
_ELSEWHERE = "replace it in the network (keep=... leaves the module around it alone), or run in ONNX Runtime"


def with_nearest_form(text: str) -> str:
    """A refusal with what to write instead, if it names an operator; else the text as it is."""
    found = _REFUSED.search(text)
    if found is None:
        return text
    form = _FORMS.get(found[1])
    return f"{text}; nearest supported form: {form}" if form else f"{text}; {_ELSEWHERE}"


def refusal_in(printed: str) -> str | None:
    """The operator that trtexec's log says was refused, and why; None if it says nothing of one."""
    operator = _PARSING.search(printed)
    if operator is None:
        return None
    after = printed[operator.end() :]
    name, reasons = _NODE_NAME.search(after), _REASON.findall(after)
    reason = next((text.strip() for text in reasons if "Invalid Node" not in text), "false")
    where = f" ({name[1]})" if name else ""
    why = "it is not supported" if reason == "false" else reason
    return f"TensorRT refuses the operator {operator[1]}{where}: {why}"
