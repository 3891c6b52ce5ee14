"""Engines of TensorRT: run, timed with CUDA events, described by layer. Not measured on a board yet."""

from array import array

from hwt_build import logger, named, tensorrt
from hwt_cuda import Cuda, gpu
from hwt_refused import Refused

#: GPU clocks need this long to rise.
GPU_WARMUP_S = 0.2
#: TensorRT's name of a type and the bytes of a value, by numpy's name.
TYPES = {"float32": ("FLOAT", 4), "int32": ("INT32", 4), "int64": ("INT64", 8)}


class Engine:
    """A serialized engine, ready to run on the GPU that is here.

    `record` says what is known of it; whether a CUDA graph replays it is added.
    """

    warmup_s = GPU_WARMUP_S
    clock = "CUDA events"

    def __init__(self, plan, record):
        self._trt, self.record = tensorrt(), record
        if gpu() is None:
            raise Refused("runtime", "an engine needs a GPU to run, and there is none here", "name a board")
        self._log = logger(self._trt)
        self._engine = self._trt.Runtime(self._log).deserialize_cuda_engine(plan)
        if self._engine is None:
            reason = self._log.errors[0] if self._log.errors else "it gives no reason"
            text = f"{named(self._trt)} cannot read the engine: {reason}"
            raise Refused("model", text, "an engine runs where it was built only: build it here from ONNX")
        self._context = self._engine.create_execution_context()
        self._cuda = Cuda()
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        modes = {name: self._engine.get_tensor_mode(name) for name in names}
        self._in = [name for name in names if modes[name] == self._trt.TensorIOMode.INPUT]
        self._out = [name for name in names if name not in self._in]
        self._memory, self._shapes = {}, None
        self._launch = None

    def told(self):
        """What it says of its layers, as JSON text, and of the memory that activations and kernels take."""
        inspector = self._engine.create_engine_inspector()
        layers = inspector.get_engine_information(self._trt.LayerInformationFormat.JSON)
        size = getattr(self._engine, "device_memory_size_v2", None)
        return {
            "layers": layers,
            "memory_bytes": int(self._engine.device_memory_size if size is None else size),
        }

    def feed(self, inputs):
        """Puts the inputs on the GPU; those of new shapes get new memory and a new CUDA graph."""
        values = {name: self._bound(name, inputs[name][0], inputs[name][2]) for name in self._in}
        shapes = {name: tuple(inputs[name][1]) for name in self._in}
        known = shapes == self._shapes
        if not known:
            self._place(shapes)
        for name in self._in:
            self._cuda.upload(self._memory[name], values[name])
        if not known:
            self._capture()
        self._shapes = shapes

    def once(self):
        """Runs the network."""
        self._launch()
        self._cuda.synchronize()

    def timed(self):
        """Runs the network; the time on the GPU in ms."""
        return self._cuda.timed(self._launch)

    def outputs(self):
        """All outputs: (dtype, shape, bytes)."""
        self.once()
        shapes = {name: list(self._context.get_tensor_shape(name)) for name in self._out}
        return [
            ("float32", shape, self._cuda.download(self._memory[name], 4 * product(shape)))
            for name, shape in shapes.items()
        ]

    def profile(self, inputs, runs):
        """[name, kind, [microseconds of every run]] of every layer; its kind is in `layers`.

        A CUDA graph has no layers to be timed: these runs are launched one kernel after the other.
        """
        self.feed(inputs)
        nodes = {}

        class Profiler(self._trt.IProfiler):
            def __init__(self):
                super().__init__()

            def report_layer_time(self, name, time_ms):
                nodes.setdefault(name, [name, "", []])[2].append(time_ms * 1000)

        profiler = Profiler()
        self._context.profiler = profiler
        for _ in range(runs):
            self._enqueue()
            self._cuda.synchronize()
        return list(nodes.values())

    def _enqueue(self):
        if not self._context.execute_async_v3(self._cuda.stream.value):
            raise Refused("failed", "TensorRT could not run the network")

    def _capture(self):
        self._enqueue()
        self._cuda.synchronize()
        graph = self._cuda.captured(self._enqueue)
        self._launch = graph or self._enqueue
        self.record["cuda_graph"] = graph is not None

    def _place(self, shapes):
        self._shapes = None
        self._cuda.free()
        for name, shape in shapes.items():
            self._context.set_input_shape(name, shape)
        for name in self._out:
            if self._dtype(name) != "float32":
                raise self._unfit(name, "float32")
        for name in (*self._in, *self._out):
            size = TYPES[self._dtype(name)][1] * product(self._context.get_tensor_shape(name))
            self._memory[name] = self._cuda.allocate(size)
            self._context.set_tensor_address(name, self._memory[name].value)

    def _bound(self, name, dtype, data):
        """The bytes of an input as the engine takes them: before 10 it has no integers of 64 bits."""
        taken = self._dtype(name)
        if (dtype, taken) == ("int64", "int32"):
            return array("i", array("q", data)).tobytes()
        if dtype != taken:
            raise self._unfit(name, dtype)
        return data

    def _dtype(self, name):
        """The name of a tensor's type in numpy; None for one that is not fed here. 8.5 has no INT64."""
        kind = self._engine.get_tensor_dtype(name)
        known = (dtype for dtype, (own, _) in TYPES.items() if kind == getattr(self._trt.DataType, own, None))
        return next(known, None)

    def _unfit(self, name, dtype):
        text = f"{name} is {self._engine.get_tensor_dtype(name)}, not {dtype}"
        return Refused("model", text, "export with inputs of float32 or integers, outputs of float32")


def product(shape):
    """Number of elements."""
    total = 1
    for size in shape:
        total *= size
    return total
