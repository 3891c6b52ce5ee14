"""Command lines of trtexec, from what its own help offers; 8.5, 10 and 11 differ in defaults and names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hwtickets.errors import DeviceError, UsageError
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.tensorrt_record import EngineSettings, plain_version
from hwtickets.runtimes.to_build import ToBuild

#: Small networks are bound by launching kernels, a sleeping wait adds its own time, a network's inputs are on
#: the device already, and the profiler slows down what it watches. From 11 on, all four are the default and
#: their old names do nothing.
_TIMING = ("useCudaGraph", "useSpinWait", "noDataTransfers", "separateProfileRun")
_WARMUP_MS = 200
Shapes = Mapping[str, Sequence[int]]
_NONE: Shapes = {}
_FIXED = ToBuild()
#: Smallest, usual and largest batch of a network that leaves it open, as of TensorRT's Python module.
BATCHES = (1, 8, 32)
_DLA_CORE = "useDLACore=0"
_WITHOUT_64_BITS = ("8.", "9.")
#: What trtexec prints of itself while the options above are in force.
_GRAPHS = "CUDA Graph"
_IN_FORCE = {
    _GRAPHS: "Enabled",
    "Spin-wait": "Enabled",
    "Data transfers": "Disabled",
    "Streams": "1",
    "Inference Streams": "1",
}


@dataclass(frozen=True)
class Offered:
    """What one trtexec offers.

    Attributes:
        version: As it prints it, e.g. "100300" for 10.3.0; "" where it does not.
        options: Every option without its dashes, and the first line of its description.
    """

    version: str
    options: Mapping[str, str]

    @staticmethod
    def parsed(text: str) -> Offered:
        """What the output of `trtexec --help` says.

        Raises:
            DeviceError: It is no such output.
        """
        version = re.search(r"\[TensorRT v([\d.]+)\]", text)
        options = dict(re.findall(r"^ +--(\w+)(.*)$", text, re.MULTILINE))
        for name in ("onnx", "saveEngine", "loadEngine", "exportTimes"):
            if name not in options:
                raise DeviceError(
                    f"this trtexec lacks --{name}; TensorRT 8.5 or later is needed (see trtexec --help)"
                )
        return Offered(version[1] if version else "", options)

    def has(self, name: str) -> bool:
        """Whether an option exists and still does something."""
        return name in self.options and "[Deprecated]" not in self.options[name]


def build_arguments(offered: Offered, settings: EngineSettings, network: ToBuild = _FIXED) -> list[str]:
    """Arguments that build an engine and do no more.

    Args:
        offered: By the trtexec that will run.
        settings: What is asked of the builder. Where networks can be strongly typed, the precision is the
            graph's own and no flag is needed.
        network: What it says of its build.

    Returns:
        With the placeholders {model}, {plan}, {timing_cache} and {out:layers} for paths.

    Raises:
        UsageError: This version has no such precision.
    """
    pool = [] if settings.workspace_mb is None else [f"memPoolSize=workspace:{settings.workspace_mb}"]
    return [
        "--onnx={model}",
        "--saveEngine={plan}",
        *([] if network.anew else ["--timingCacheFile={timing_cache}"]),
        "--profilingVerbosity=detailed",
        "--exportLayerInfo={out:layers}",
        "--skipInference" if offered.has("skipInference") else "--buildOnly",
        *_flags(offered, _precision_flags(offered, settings, network)),
        *_flags(offered, ["sparsity=enable"] if settings.sparse else []),
        *_flags(offered, [_DLA_CORE, "allowGPUFallback"] if settings.dla else []),
        *_flags(offered, pool),
        *(
            argument
            for option, batch in zip(("minShapes", "optShapes", "maxShapes"), BATCHES, strict=True)
            for argument in _sized({name: (batch, *rest) for name, rest in network.free.items()}, option)
        ),
    ]


def flags_set(arguments: Sequence[str]) -> list[str]:
    """TensorRT's own names of the flags that arguments of trtexec set."""
    return [flag for argument, flag in _FLAG_NAMES.items() if argument in arguments]


def timing_arguments(
    offered: Offered, iterations: int, dla: bool = False, sizes: Shapes = _NONE
) -> list[str]:
    """Arguments that time an engine, every option said that has a say in the result.

    Args:
        offered: By the trtexec that will run.
        iterations: Timed runs.
        dla: Whether the engine is for the deep-learning accelerator.
        sizes: Shapes of the inputs that the engine leaves open.
    """
    streams = "infStreams" if offered.has("infStreams") else "streams"
    return [
        "--loadEngine={plan}",
        f"--iterations={iterations}",
        "--duration=0",
        f"--warmUp={_WARMUP_MS}",
        "--sleepTime=0",
        "--idleTime=0",
        f"--{streams}=1",
        *_flags(offered, _TIMING),
        *_on_core(dla),
        *_sized(sizes),
        "--exportTimes={out:times}",
    ]


def profile_arguments(
    offered: Offered, iterations: int, dla: bool = False, sizes: Shapes = _NONE
) -> list[str]:
    """Arguments that time the layers of an engine and say what they are made of; see `timing_arguments`."""
    return [
        *timing_arguments(offered, iterations, dla, sizes),
        "--profilingVerbosity=detailed",
        "--exportProfile={out:profile}",
        "--exportLayerInfo={out:layers}",
    ]


def run_arguments(inputs: Sequence[str], dla: bool = False, sizes: Shapes = _NONE) -> list[str]:
    """Arguments that run an engine once; {input0}, {input1}, ... stand for files of raw values."""
    values = ",".join(f"{name}:{{input{index}}}" for index, name in enumerate(inputs))
    return [
        "--loadEngine={plan}",
        "--iterations=1",
        "--duration=0",
        "--warmUp=0",
        *_on_core(dla),
        *_sized(sizes),
        f"--loadInputs={values}",
        "--exportOutput={out:output}",
    ]


def described(offered: Offered) -> str:
    """The timing options in force, for a table's record."""
    known = {name: f"--{name}" if offered.has(name) else "by default" for name in _TIMING}
    return ", ".join(
        f"{name} {how}" if how == "by default" else how
        for name, how in known.items()
        if name in offered.options
    )


def in_force(dla: bool = False) -> Mapping[str, str]:
    """What trtexec must print of its settings while it times an engine; 11 has no CUDA graphs on a DLA."""
    return {name: wanted for name, wanted in _IN_FORCE.items() if not (dla and name == _GRAPHS)}


def as_bound(offered: Offered, values: Array) -> Array:
    """Values of an input as an engine takes them: before 10, integers of a network have 32 bits at most."""
    narrow = plain_version(offered.version).startswith(_WITHOUT_64_BITS)
    return np.ascontiguousarray(values, np.int32 if narrow and values.dtype == np.int64 else None)


def strongly_typed(offered: Offered, dla: bool = False) -> bool:
    """Whether networks take their precisions from the graph.

    For the accelerator, trtexec 10 sets flags of precision by itself, which strongly typed networks refuse
    (read in its source, 10.3 and 10.16); 11 has strong types only.
    """
    return "stronglyTyped" in offered.options and not (dla and "fp16" in offered.options)


#: What a network that is not strongly typed is allowed besides fp32.
_QUANTIZED = ["int8", "fp16"]
_PRECISION_FLAGS: Mapping[str, list[str]] = {
    "fp32": [],
    "fp16": ["fp16"],
    "int8": _QUANTIZED,
    "mixed": _QUANTIZED,
}
_FLAG_NAMES = {
    "--sparsity=enable": "SPARSE_WEIGHTS",
    "--int8": "INT8",
    "--fp16": "FP16",
    "--allowGPUFallback": "GPU_FALLBACK",
}


def _precision_flags(offered: Offered, settings: EngineSettings, network: ToBuild) -> list[str]:
    if strongly_typed(offered, settings.dla):
        return ["stronglyTyped"]
    precision = "int8" if network.quantized else settings.precision
    if precision not in _PRECISION_FLAGS:
        version, known = plain_version(offered.version), ", ".join(_PRECISION_FLAGS)
        raise UsageError(f"TensorRT {version} has no {precision}; it has {known}")
    return _PRECISION_FLAGS[precision]


def _sized(sizes: Shapes, option: str = "shapes") -> list[str]:
    """Shapes by input; trtexec takes none where the network's own are fixed."""
    named = ",".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in sizes.items())
    return [f"--{option}={named}"] if sizes else []


def _on_core(dla: bool) -> list[str]:
    """Which accelerator an engine that was built for one runs on."""
    return [f"--{_DLA_CORE}"] if dla else []


def _flags(offered: Offered, arguments: Sequence[str]) -> list[str]:
    return [f"--{argument}" for argument in arguments if offered.has(argument.partition("=")[0])]
