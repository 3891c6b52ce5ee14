"""The network in OpenVINO, on the CPU."""

import sys

import numpy as np

try:
    import openvino
except ImportError:
    sys.exit("error: OpenVINO is needed: python3 -m pip install openvino")


class Network:
    """The network of a bundle, ready to run.

    Args:
        folder: Where model.onnx is.
        description: Content of model.json.
        threads: CPU threads.
    """

    def __init__(self, folder, description, threads):
        path = folder / "model.onnx"
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Left alone, OpenVINO computes in bf16 wherever the processor can. 8-bit graphs stay in 8 bits.
            "INFERENCE_PRECISION_HINT": "bf16" if description["precision"] == "bf16" else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        self.runtime = "OpenVINO {}".format(openvino.get_version().split("-")[0])
        try:
            core = openvino.Core()
            compiled = core.compile_model(core.read_model(str(path)), "CPU", options)
        except RuntimeError as error:
            raise ValueError(f"{self.runtime} cannot load {path}: {reason_of(error)}") from None
        self._request = compiled.create_infer_request()
        self._input_name = description["input"]["name"]
        #: With one thread the caller's own does all the work.
        self.computes_in_caller = threads == 1

    def run(self, values):
        """The output, (1, ...), for one input, float32 (1, ...)."""
        return np.array(self._request.infer({self._input_name: np.ascontiguousarray(values)})[0])

    def bound(self, values):
        """A function that computes the output for this input, without the cost of handing it over."""
        self._request.set_tensor(self._input_name, openvino.Tensor(np.ascontiguousarray(values)))
        return self._request.infer


def reason_of(error):
    """The line that says what is wrong; the others name OpenVINO's own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '", "While"))]
    return (telling or lines or ["it gives no reason"])[0]
