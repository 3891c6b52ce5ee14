"""Numbers below 1e-38 count as zero wherever ONNX Runtime is run by something of ours."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, save

from hwtickets.runtimes import load, node_times

ROOT = Path(__file__).parents[2]
#: 1e-30 times 1e-9, each in a process of its own: the option is for a process's first session.
PROGRAMS = {
    "package": "from hwtickets.runtimes import load; y = load(Path('model.onnx')).run({'x': x})[0]",
    "package, not the first": (
        "import onnxruntime; onnxruntime.InferenceSession('model.onnx');"
        " from hwtickets.runtimes import load; y = load(Path('model.onnx')).run({'x': x})[0]"
    ),
    "runner": "from network import Network; y = Network(Path('.'), {}, 1).run(x)",
    "agent": (
        "from hwt_onnxruntime import OnnxRuntime; s = OnnxRuntime('model.onnx', {});"
        " s.feed({'x': ('float32', [1], x.tobytes())}); y = np.frombuffer(s.outputs()[0][2], np.float32)"
    ),
}
FOLDERS = {
    "package": ROOT,
    "package, not the first": ROOT,
    "runner": ROOT / "export" / "onnxruntime",
    "agent": ROOT / "export" / "agent",
}


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="needs a processor that is asked to"
)
@pytest.mark.parametrize("who", PROGRAMS)
def test_a_product_below_the_smallest_normal_number_is_zero(who: str, tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(end, TensorProto.FLOAT, [1]) for end in "xy")
    tiny = helper.make_tensor("tiny", TensorProto.FLOAT, [1], [1e-9])
    graph = helper.make_graph([helper.make_node("Mul", ["x", "tiny"], ["y"])], "one", [x], [y], [tiny])
    opset = [helper.make_opsetid("", 18)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "model.onnx")
    begin = "import sys; from pathlib import Path; import numpy as np; x = np.full(1, 1e-30, np.float32); "
    program = f"{begin}sys.path.insert(0, {str(FOLDERS[who])!r}); {PROGRAMS[who]}; print(y[0])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "0.0", done.stderr


def test_the_thread_is_left_as_it_was(model: bytes) -> None:
    session = load(model)
    session.run(session.random_inputs())
    session.timer(session.random_inputs())()
    node_times(model, session.random_inputs(), runs=1)
    assert np.float32(1e-30) * np.float32(1e-9) > 0
