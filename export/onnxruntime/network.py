"""The network in ONNX Runtime, on the CPU."""

import sys

try:
    import onnxruntime
except ImportError:
    sys.exit("error: ONNX Runtime is needed: python3 -m pip install onnxruntime")

ERRORS_ONLY = 3


class Network:
    """The network of a bundle, ready to run.

    Args:
        folder: Where model.onnx is.
        description: Content of model.json.
        threads: CPU threads.
    """

    def __init__(self, folder, description, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Spinning threads burn the time of whatever runs beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = ERRORS_ONLY
        path = folder / "model.onnx"
        try:
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # The runtime's exceptions share no base class below Exception.
            raise ValueError(
                "ONNX Runtime {} cannot load {}: {}".format(
                    onnxruntime.__version__, path, str(error).split("\n")[0]
                )
            ) from None
        self.input_name = self.session.get_inputs()[0].name
        self.runtime = f"ONNX Runtime {onnxruntime.__version__}"
        #: With one thread the caller's own does all the work.
        self.computes_in_caller = threads == 1

    def run(self, values):
        """The output, (1, ...), for one input, float32 (1, ...)."""
        return self.session.run(None, {self.input_name: values})[0]

    def bound(self, values):
        """A function that computes the output for this input, without the cost of handing it over."""
        binding = self.session.io_binding()
        binding.bind_cpu_input(self.input_name, values)
        binding.bind_output(self.session.get_outputs()[0].name)
        return lambda: self.session.run_with_iobinding(binding)
