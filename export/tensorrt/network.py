"""The network in TensorRT, on the GPU of this board. Not run on a board by its authors yet."""

import hashlib
import json
import re

import numpy as np
from hwt_build import build, named, tensorrt
from hwt_cuda import gpu
from hwt_engine import Engine
from hwt_refused import Refused
from hwt_write import write_bytes

ENGINE, RECORD, TIMINGS = "model.engine", "model.engine.json", "model.engine.timings"


class Network:
    """The network of a bundle, ready to run.

    Args:
        folder: Where model.onnx is; keeps the engine that is built from it the first time.
        description: Content of model.json.
        threads: Not used: the GPU computes.
    """

    def __init__(self, folder, description, threads):
        self._name = description["input"]["name"]
        try:
            self.runtime = named(tensorrt())
            if gpu() is None:
                raise Refused("runtime", "no GPU answers here", "look whether its driver runs: nvidia-smi")
            self._engine = Engine(*engine_of(folder, description))
        except Refused as refused:
            raise ValueError(in_words(refused)) from None
        #: The time of this thread is not that of the GPU.
        self.computes_in_caller = False

    def run(self, values):
        """The output, (1, ...), for one input, float32 (1, ...); both are copied between memories."""
        try:
            self._engine.feed({self._name: ("float32", values.shape, np.ascontiguousarray(values).tobytes())})
            _, shape, data = self._engine.outputs()[0]
        except Refused as refused:
            raise ValueError(in_words(refused)) from None
        return np.frombuffer(data, dtype=np.float32).reshape(shape)

    def bound(self, values):
        """A function that computes the output for this input, copies between memories included."""
        return lambda: self.run(values)


def engine_of(folder, description):
    """The engine for this model, this TensorRT and this GPU, and its record; built if it is not there."""
    model, trt = (folder / "model.onnx").read_bytes(), tensorrt()
    # Three numbers: all that the runner in C++ is told of a version.
    runtime = re.match(r"\S+ \d+(?:\.\d+){0,2}|", named(trt)).group()
    key = {"onnx_sha256": hashlib.sha256(model).hexdigest(), "runtime": runtime, "gpu": gpu()}
    if (folder / ENGINE).is_file() and (folder / RECORD).is_file():
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if all(record.get(name) == value for name, value in key.items()):
            return (folder / ENGINE).read_bytes(), record
    print("building an engine for this GPU, once; it takes up to some minutes")
    plan, record = build(model, {"precision": description["precision"]}, str(folder / TIMINGS))
    record = {**record, **key}
    # A record of another engine must not vouch for this one, however this ends.
    write_bytes(str(folder / RECORD), b"{}")
    write_bytes(str(folder / ENGINE), plan)
    write_bytes(str(folder / RECORD), json.dumps(record, indent=2).encode("utf-8"))
    return plan, record


def in_words(refused):
    """What a part of the agent refused, with what to do."""
    return refused.error + ("; " + refused.hint if refused.hint else "")
