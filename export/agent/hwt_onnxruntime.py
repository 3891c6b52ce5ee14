"""Networks in ONNX Runtime."""

import importlib
import json
import os
import sys
import tempfile
import time

from hwt_files import read_bytes
from hwt_refused import Refused, first_line


class OnnxRuntime:
    """A network in ONNX Runtime on the CPU; with one thread its clock is that thread's CPU time."""

    warmup_s = 0.0

    def __init__(self, path, spec, profile=False):
        runtime = imported("onnxruntime", "python3 -m pip install onnxruntime")
        threads = int(spec.get("threads", 1))
        options = runtime.SessionOptions()
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        options.log_severity_level = 3
        if profile:
            self._folder = tempfile.TemporaryDirectory()
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(self._folder.name, "profile")
        try:
            self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            text = f"ONNX Runtime {runtime.__version__} cannot load the model: {first_line(error)}"
            raise Refused("model", text, "export it again") from error
        self._clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
        self.clock = "thread CPU time" if threads == 1 else "wall clock"
        self.record = {"runtime": runtime.__version__, "threads": threads}
        self._binding = None

    def feed(self, inputs):
        """Sets what the network is run on."""
        import numpy

        # Bound once: arguments of every run would cost some us of Python, which no program in C++ pays.
        self._binding = self._session.io_binding()
        for name, (dtype, shape, data) in inputs.items():
            self._binding.bind_cpu_input(name, numpy.frombuffer(data, dtype=dtype).reshape(shape))
        for output in self._session.get_outputs():
            self._binding.bind_output(output.name)

    def once(self):
        """Runs the network."""
        self._session.run_with_iobinding(self._binding)

    def timed(self):
        """Runs the network; the time in ms."""
        begin_ns = self._clock()
        self._session.run_with_iobinding(self._binding)
        return (self._clock() - begin_ns) / 1e6

    def outputs(self):
        """All outputs: (dtype, shape, bytes)."""
        self.once()
        found = self._binding.copy_outputs_to_cpu()
        return [(str(value.dtype), list(value.shape), value.tobytes()) for value in found]

    def profile(self, inputs, runs):
        """[name, kind, [microseconds of every run]] of every operator, in order of execution."""
        self.feed(inputs)
        for _ in range(runs):
            self.once()
        events = json.loads(read_bytes(self._session.end_profiling()).decode("utf-8"))
        nodes = {}
        for event in events:
            name = event["name"]
            if event.get("cat") == "Node" and name.endswith("_kernel_time"):
                name = name[: -len("_kernel_time")]
                nodes.setdefault(name, [name, event["args"]["op_name"], []])[2].append(event["dur"])
        return list(nodes.values())


def imported(name, advice):
    """A module of the board."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"{name} is missing in {sys.executable} ({first_line(error)})"
        raise Refused("runtime", text, advice) from error
