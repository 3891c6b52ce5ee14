"""The network in ONNX Runtime: on the CPU, or on the GPU where the bundle is for one (not run on one yet)."""

import re
import sys

try:
    import onnxruntime
except ImportError:
    sys.exit("error: ONNX Runtime is needed: python3 -m pip install onnxruntime")

ERRORS_ONLY = 3
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
#: fp32 is fp32: tensor cores do not round to TF32. cuDNN measures its kernels instead of guessing.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}
#: How a version says that a model is newer than itself.
TOO_OLD = re.compile("IR version|opset", re.IGNORECASE)


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
        # Numbers below 1e-38, which a masked softmax is full of, are slow on some processors.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.log_severity_level = ERRORS_ONLY
        on_gpu = "cuda" in description.get("runtime", "")
        version = f"ONNX Runtime {onnxruntime.__version__}"
        self.session = loaded(str(folder / "model.onnx"), options, on_gpu, version)
        self.input_name = self.session.get_inputs()[0].name
        self.runtime = version + (", CUDA" if on_gpu else "")
        #: With one thread the caller's own does all the work.
        self.computes_in_caller = threads == 1 and not on_gpu

    def run(self, values):
        """The output, (1, ...), for one input, float32 (1, ...)."""
        return self.session.run(None, {self.input_name: values})[0]

    def bound(self, values):
        """A function that computes the output for this input, without the cost of handing it over.

        On a GPU, copies between memories are part of it.
        """
        binding = self.session.io_binding()
        binding.bind_cpu_input(self.input_name, values)
        binding.bind_output(self.session.get_outputs()[0].name)
        return lambda: self.session.run_with_iobinding(binding)


def loaded(path, options, on_gpu, version):
    """The session; refuses a bundle for a GPU where none answers."""
    if on_gpu and CUDA not in onnxruntime.get_available_providers():
        raise ValueError(
            f"this bundle is for a GPU, and {version} here computes on the CPU only; python3 -m pip"
            " uninstall onnxruntime; python3 -m pip install onnxruntime-gpu"
        )
    # CUDA and cuDNN may be in wheels of their own, where the system does not look.
    if on_gpu and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()
    providers = [(CUDA, CUDA_OPTIONS)] if on_gpu else [CPU]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=providers)
    except Exception as error:  # The runtime's exceptions share no base class below Exception.
        reason = str(error).split("\n")[0]
        raise ValueError(f"{version} cannot load {path}: {reason}{step_for(reason)}") from None
    # Where CUDA does not answer, ONNX Runtime goes on with the CPU and only warns.
    if on_gpu and CUDA not in session.get_providers():
        raise ValueError(
            "this bundle is for a GPU, and its driver, CUDA or cuDNN does not answer; look at nvidia-smi,"
            " then: python3 -m pip install 'onnxruntime-gpu[cuda,cudnn]'"
        )
    return session


def step_for(reason):
    """What to do about a model that cannot be loaded, where that is known."""
    if TOO_OLD.search(reason):
        return "; 1.16 or later is needed: python3 -m pip install --upgrade onnxruntime"
    return "; export it again, in another precision or for another device"
