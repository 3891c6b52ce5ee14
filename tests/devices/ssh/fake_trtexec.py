#!/usr/bin/env python3
"""Stands in for a trtexec 10 on a board that is this machine: same options, same files, made-up numbers."""

import json
import os
import signal
import sys
from pathlib import Path

import onnx

_PLAN = b"plan of "

HELP = """&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec --help
  --onnx=<file>
  --saveEngine=<file>
  --loadEngine=<file>
  --timingCacheFile=<file>
  --profilingVerbosity=mode
  --skipInference
  --stronglyTyped
  --sparsity=spec
  --memPoolSize=poolspec
  --minShapes=spec
  --optShapes=spec
  --maxShapes=spec
  --shapes=spec
  --iterations=N
  --duration=N
  --warmUp=N
  --sleepTime=N
  --idleTime=N
  --infStreams=N
  --useCudaGraph
  --useSpinWait
  --noDataTransfers
  --separateProfileRun
  --loadInputs=spec
  --exportTimes=<file>
  --exportOutput=<file>
  --exportProfile=<file>
  --exportLayerInfo=<file>
"""


def main():
    """Does what the arguments ask for; an unknown one fails like the real program's."""
    options = dict(argument[2:].partition("=")[::2] for argument in sys.argv[1:])
    if "help" in options:
        print(HELP)
        return 0
    for name in options:
        if f"--{name}" not in HELP:
            print(f"[09/25/2026-10:00:00] [E] Unknown option: --{name}")
            return 1
    if "onnx" in options:
        model = Path(options["onnx"]).read_bytes()
        if not model.startswith(b"\x08"):
            print("[09/25/2026-10:00:00] [E] [TRT] that is no network")
            print("&&&& FAILED TensorRT.trtexec [TensorRT v100300]")
            return 1
        if b"NoSuch" in model:
            print('[09/25/2026-10:00:00] [E] [TRT] While parsing node number 0 [NoSuch -> "y"]:')
            print("[09/25/2026-10:00:00] [E] [TRT] Node name: body/odd")
            print("[8] false")
            print("&&&& FAILED TensorRT.trtexec [TensorRT v100300]")
            return 1
        Path(options["saveEngine"]).write_bytes(_PLAN + model)
        if b"Killed" in model:
            os.kill(os.getpid(), signal.SIGKILL)
        if b"TooLarge" in model:
            print("[09/25/2026-10:00:00] [E] Error[2]: Cuda failure: out of memory")
            print("&&&& FAILED TensorRT.trtexec [TensorRT v100300]")
            return 1
        if "sparsity" in options:
            print(
                "[09/25/2026-10:00:00] [I] [TRT] (Sparsity) Layers eligible for sparse math: stem/conv/Conv"
            )
        layer = {"Name": "stem/conv/Conv + stem/conv/Relu", "ParameterType": "Convolution", "TacticName": "k"}
        Path(options["exportLayerInfo"]).write_text(json.dumps({"Layers": [layer], "Bindings": []}))
    else:
        run(options)
    print("&&&& PASSED TensorRT.trtexec [TensorRT v100300]")
    return 0


def run(options):
    """Writes what was asked for about an engine."""
    plan = Path(options["loadEngine"]).read_bytes()
    assert plan.startswith(_PLAN)
    graph = "Enabled" if "useCudaGraph" in options else "Disabled"
    print(
        f"[09/25/2026-10:00:00] [I] === Inference Options ===\n[09/25/2026-10:00:00] [I] CUDA Graph: {graph}"
    )
    print("[09/25/2026-10:00:00] [I] === Reporting Options ===")
    if "exportTimes" in options:
        times = [{"computeMs": 1.5 + 0.01 * index} for index in range(int(options["iterations"]))]
        Path(options["exportTimes"]).write_text(json.dumps(times))
    if "exportProfile" in options:
        entries = [{"name": "stem/conv/Conv + stem/conv/Relu", "averageMs": 0.25}]
        Path(options["exportProfile"]).write_text(json.dumps([{"count": 1}, *entries]))
        Path(options["exportLayerInfo"]).write_text(json.dumps({"Layers": [entries[0]["name"]]}))
    if "exportOutput" in options:
        size = len(Path(options["loadInputs"].partition(":")[2]).read_bytes())
        names = [output.name for output in onnx.load_model_from_string(plan[len(_PLAN) :]).graph.output]
        # As the real program: by name, in no order of the network's.
        outputs = [{"name": name, "dimensions": "1x2", "values": [size, len(name)]} for name in sorted(names)]
        Path(options["exportOutput"]).write_text(json.dumps(outputs))


sys.exit(main())
