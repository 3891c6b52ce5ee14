"""Engines from ONNX by TensorRT's Python module: 8.5, 10, 11 and TensorRT-RTX, by what each offers."""

import contextlib
import importlib
import re
import sys
import time
import warnings

from hwt_cuda import gpu
from hwt_refused import Refused, first_line
from hwt_write import write_bytes

#: The same interface under two names; TensorRT-RTX also builds where there is no GPU.
MODULES = ("tensorrt", "tensorrt_rtx")
_MEGABYTE = 1 << 20
_MOST_NOTES = 60
#: Smallest, usual and largest batch of a network that leaves it open.
_BATCHES = (1, 8, 32)
#: How engines are built besides what is asked for; another number for every other way that is taken below.
BUILD = {"schema": 2, "batches": _BATCHES, "profiling": "DETAILED"}
#: What a network that is not strongly typed is allowed besides fp32, by the precision of its graph.
_QUANTIZED = ["INT8", "FP16"]
ALLOWED = {"fp16": ["FP16"], "bf16": ["BF16"], "int8": _QUANTIZED, "mixed": _QUANTIZED}
#: Compute capabilities that TensorRT-RTX has names for but cannot build all networks for.
_LEFT_OUT = ("NONE", "CURRENT", "SM75")
#: Lines that say which layers the accelerator runs, and which the GPU.
_PLACED = re.compile(r"\[(Dla|Gpu)Layer\]")


def tensorrt():
    """TensorRT's Python module."""
    reasons = []
    for name in MODULES if gpu() else reversed(MODULES):
        try:
            return importlib.import_module(name)
        except Exception as error:  # A broken installation fails in ways of its own.
            reasons.append(first_line(error))
    hint = (
        "install it: on a Jetson with apt (python3-libnvinfer), elsewhere with pip (tensorrt; tensorrt-rtx"
        " builds without a GPU)"
    )
    raise Refused("runtime", f"tensorrt is missing in {sys.executable} ({'; '.join(reasons)})", hint)


def build(model, settings, timing_cache):
    """A serialized engine, and what is to be said of it.

    `model` is a serialized ONNX model; `settings` has "precision", and may have "sparse", "dla" and
    "workspace_mb"; `timing_cache` is the path of the builder's memory of kernels' times, None to begin and
    forget one.
    """
    begin_s = time.monotonic()
    trt, here = tensorrt(), gpu()
    log = logger(trt)
    builder = made(trt, log, here)
    strongly, network = empty_network(trt, builder, settings.get("dla", False))
    parse(trt, log, network, model)
    config = builder.create_builder_config()
    record = {
        "module": trt.__name__,
        "version": trt.__version__,
        "gpu": here,
        "strongly_typed": strongly,
        "flags": flags(trt, config, {**settings, "precision": of_graph(trt, network, settings)}, strongly),
        "workspace_mb": workspace(trt, config, settings),
        "targets": [] if here else targets(trt, config),
        "batches": batches(builder, config, network, settings.get("dla", False)),
        "network_layers": network.num_layers,
    }
    dla(trt, builder, config, settings)
    config.profiling_verbosity = getattr(trt.ProfilingVerbosity, BUILD["profiling"])
    with cached_timings(config, timing_cache) as used:
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = log.errors[-1] if log.errors else "it gives no reason"
        raise Refused("model", f"{named(trt)} cannot build the model: {reason}")
    said = {"timing_cache": used[0], "placed": log.placed, "log": log.notes}
    return bytes(plan), {**record, **said, "seconds": round(time.monotonic() - begin_s, 3)}


def named(trt):
    """TensorRT and its version, for messages."""
    return "{} {}".format("TensorRT-RTX" if trt.__name__.endswith("rtx") else "TensorRT", trt.__version__)


def logger(trt):
    """A logger that keeps errors, and of the rest what a reader of the record wants to know."""

    class Log(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.errors, self.notes, self.placed = [], [], []

        def log(self, severity, message):
            if severity in (trt.Logger.ERROR, trt.Logger.INTERNAL_ERROR):
                self.errors.append(first_line(message))
            elif _PLACED.match(message):
                self.placed.append(message.strip())
            elif "(Sparsity)" in message or severity == trt.Logger.WARNING:
                self.notes = [*self.notes, message.strip()][:_MOST_NOTES]

    return Log()


def made(trt, log, here):
    """A builder; TensorRT itself needs a GPU for one."""
    try:
        builder = trt.Builder(log)
    except Exception as error:  # Its bindings raise what the library does.
        where = "" if here else " (there is no GPU here)"
        raise Refused("runtime", f"{named(trt)} cannot start{where}: {first_line(error)}") from error
    return builder


def empty_network(trt, builder, dla=False):
    """Whether it is strongly typed, and a network.

    In a strongly typed network the precision is the graph's own; without it, a precision is only allowed.
    For the accelerator 10 wants precisions allowed, as its trtexec does by itself; 11 has strong types only.
    """
    kinds = trt.NetworkDefinitionCreationFlag
    strongly = hasattr(kinds, "STRONGLY_TYPED") and not (dla and hasattr(trt.BuilderFlag, "FP16"))
    flag = kinds.STRONGLY_TYPED if strongly else getattr(kinds, "EXPLICIT_BATCH", None)
    return strongly, builder.create_network(0 if flag is None else 1 << int(flag))


def parse(trt, log, network, model):
    """Fills the network; an operator that is refused is named."""
    parser = trt.OnnxParser(network, log)
    if parser.parse(model) and network.num_outputs:
        return
    if not parser.num_errors:
        raise Refused("model", f"{named(trt)} cannot read the model: it has no outputs", "export it again")
    error = parser.get_error(0)
    operator, node = (asked(error, name) for name in ("node_operator", "node_name"))
    reason = readable(error.desc())
    if not operator and error.node() <= 0:
        raise Refused("model", f"{named(trt)} cannot read the model: {reason}", "export it again")
    what = f"the operator {operator} ({node})" if operator else f"node {error.node()}"
    raise Refused("operator", f"{named(trt)} refuses {what}: {reason}")


def asked(error, name):
    """A text of an error, where this version has it."""
    return getattr(error, name, str)()


def readable(text):
    """What a parser's message says to people, without the condition that failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in lines if not line.startswith("Invalid Node")), "")
    line = re.sub(r"^Assertion failed: (?:.*?\)|[^:]*): (?=\S)", "", line)
    quoted = re.search(r'&& "(.+)"', line)
    return quoted[1] if quoted else "it is not supported" if line in ("", "false") else line


def of_graph(trt, network, settings):
    """The precision that is asked for, or int8 where the graph quantizes, whatever the device computes in."""
    kinds = [network.get_layer(index).type for index in range(network.num_layers)]
    return "int8" if trt.LayerType.QUANTIZE in kinds else settings["precision"]


def flags(trt, config, settings, strongly):
    """Sets the flags that are wanted and offered; their names."""
    wanted = ["SPARSE_WEIGHTS"] if settings.get("sparse", True) else []
    if not strongly:
        wanted += ALLOWED.get(settings["precision"], [])
    if settings.get("dla"):
        wanted.append("GPU_FALLBACK")
    found = [name for name in wanted if hasattr(trt.BuilderFlag, name)]
    for name in found:
        config.set_flag(getattr(trt.BuilderFlag, name))
    return found


def workspace(trt, config, settings):
    """Limits what kernels may use besides weights and activations; the limit in MB, None for all there is."""
    limit_mb = settings.get("workspace_mb")
    if limit_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, int(limit_mb) * _MEGABYTE)
    return limit_mb


def targets(trt, config):
    """Has the engine built for GPUs that are not here; their compute capabilities."""
    known = getattr(trt, "ComputeCapability", None)
    if known is None:
        raise Refused("runtime", f"{named(trt)} builds on the GPU it is for, and there is none here")
    names = sorted(name for name in dir(known) if re.match(r"SM\d+\Z", name) and name not in _LEFT_OUT)
    names.sort(key=lambda name: int(name[2:]))
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        config.set_compute_capability(getattr(known, name), index)
    return [f"{name[2:-1]}.{name[-1]}" for name in names]


def dla(trt, builder, config, settings):
    """Puts layers on the deep-learning accelerator where asked; a flag lets the others use the GPU."""
    if not settings.get("dla"):
        return
    if getattr(builder, "num_DLA_cores", 0) <= 0:
        raise Refused("unavailable", f"{named(trt)} reports no DLA on this board", "build for the GPU")
    if settings["precision"] not in ("fp16", "int8", "mixed"):
        raise Refused("unavailable", "DLA computes in fp16 and int8 only", "export with --precision fp16")
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = 0


def batches(builder, config, network, dla=False):
    """Says which batches will come, where the network leaves that open; None where it does not."""
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    free = [tensor for tensor in inputs if -1 in tuple(tensor.shape)]
    if not free:
        return None
    if dla:
        raise Refused("model", "a DLA needs a fixed batch", "export without --dynamic-batch")
    profile = builder.create_optimization_profile()
    for tensor in free:
        rest = tuple(tensor.shape)[1:]
        if -1 in rest:
            text = f"the input {tensor.name} leaves more open than its batch"
            raise Refused("model", text, "export it with a fixed size")
        profile.set_shape(tensor.name, *((batch, *rest) for batch in _BATCHES))
    config.add_optimization_profile(profile)
    return list(_BATCHES)


@contextlib.contextmanager
def cached_timings(config, path):
    """Lends the builder what earlier builds measured, and keeps what this one does; [how it went]."""
    used = ["none"]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DeprecationWarning)
        known = b""
        if path is not None:
            with contextlib.suppress(OSError), open(path, "rb") as file:
                known = file.read()
        # What another version of TensorRT wrote, or a crash cut off, is begun anew.
        for data in [known, b""] if known else [b""]:
            cache = config.create_timing_cache(data)
            if cache is not None and config.set_timing_cache(cache, False):
                used[0] = "used" if data else "begun"
                break
        # TensorRT-RTX measures nothing when it builds, and says so.
        if said:
            used[0] = "none"
    yield used
    if used[0] != "none" and path is not None:
        write_bytes(path, bytes(config.get_timing_cache().serialize()))
