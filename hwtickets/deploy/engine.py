"""Engines of TensorRT in a bundle: `model.engine` and what is known of it, `model.engine.json` beside it."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.deploy.onnx_file import opened_onnx
from hwtickets.devices import DeviceProfile, open_bench
from hwtickets.devices.ssh.client import hold
from hwtickets.devices.ssh.tensorrt_bench import TensorRTBench
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.runtimes.bench import Bench
from hwtickets.runtimes.tensorrt_record import (
    SCHEMA,
    EngineBench,
    EngineRecord,
    EngineSettings,
    plain_version,
)

ENGINE, SIDECAR = "model.engine", "model.engine.json"
#: Runtimes that engines are for.
RUNTIMES = ("tensorrt", "trtexec")


def build_engine(
    model: Path, device: DeviceProfile, folder: Path, settings: EngineSettings | None = None
) -> EngineRecord:
    """Builds an engine where it will run and writes it with its sidecar.

    A board builds its own, with its own TensorRT. On this machine TensorRT's Python module builds in a
    process of its own; without a GPU it has to be TensorRT-RTX, which builds ahead of time.

    Args:
        model: The ONNX file.
        device: Where it will run.
        folder: Gets `model.engine`, then `model.engine.json`: an engine beside one is whole.
        settings: What is asked of the builder.

    Returns:
        What the sidecar says.

    Raises:
        HwticketsError: The model is damaged, or holds an operator that TensorRT refuses.
        DeviceError: The device cannot be reached, has no TensorRT, or cannot build what is asked.
    """
    settings = settings or EngineSettings()
    workspace_mb = settings.workspace_mb or device.workspace_mb
    settings = replace(settings, dla=settings.dla or device.dla, workspace_mb=workspace_mb)
    opened_onnx(model)
    with engine_builder(device, settings.precision) as bench:
        assert isinstance(bench, EngineBench)
        built = bench.engine(model, settings)
        plan = built.read()
    if files.sha256_of(plan) != built.record.sha256:
        raise DeviceError(f"device {device.name}: the engine arrived damaged; build it again")
    files.write_bytes(folder / ENGINE, plan)
    # What the bundle's runner compares before it takes the engine.
    seen = {"onnx_sha256": files.sha256_of(model), "runtime": built.record.runtime}
    files.write_json(folder / SIDECAR, {**built.record.as_dict(), **seen, "engine": ENGINE})
    return built.record


def read_engine(folder: Path) -> dict[str, Any]:
    """What the sidecar of a folder's engine says, once it is sure to be that engine's.

    Raises:
        HwticketsError: Missing, damaged, or not the engine that is described.
    """
    path, again = folder / SIDECAR, "build it again: hwtickets export TICKET --format tensorrt"
    found = files.read_json(path, "description of an engine")
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise HwticketsError(f"{path}: not a description of an engine that this version knows; {again}")
    if files.sha256_of(folder / ENGINE) != found.get("sha256"):
        raise HwticketsError(f"{folder / ENGINE}: not the engine that {path} describes; {again}")
    return found


def use_engine(folder: Path, bench: Bench) -> None:
    """Has a device that runs engines run that of a bundle, where it has one, and no other of the same model.

    An engine that the bundle's own runner left there is that runner's to check.

    Raises:
        DeviceError: It was built by another version of TensorRT, or for another GPU or accelerator.
        HwticketsError: It is damaged.
    """
    here, path = bench.fingerprint, folder / SIDECAR
    if not isinstance(bench, EngineBench) or not path.is_file():
        return
    if "schema" not in files.read_json(path, "description of an engine"):
        return
    found = read_engine(folder)
    device = here["device"]
    again = f"export it for that one: hwtickets export TICKET --format tensorrt --device {device}"
    version = plain_version(here.get("trtexec") or here["runtime"])
    if version != plain_version(found["version"]):
        raise DeviceError(
            f"{folder / ENGINE} was built by {found['runtime']}, {device} has {version}; {again}"
        )
    if found["settings"]["dla"] != ("accelerator" in here):
        there, beside = ("DLA", "GPU") if found["settings"]["dla"] else ("GPU", "DLA")
        raise DeviceError(
            f"{folder / ENGINE} is for the {there}, {device} computes on the {beside}; {again}, or name the"
            f" device of that {there} (hwtickets devices add NAME --ssh HOST --dla makes one of a DLA)"
        )
    gpu = here.get("gpu", "no GPU")
    named = "{name} ({compute_capability})".format(**found["gpu"]) if found["gpu"] else None
    ahead = gpu.rpartition("(")[2].rstrip(")") in found["targets"]
    if gpu != named and not ahead:
        target = named or f"compute capability {', '.join(found['targets'])}"
        raise DeviceError(f"{folder / ENGINE} is for {target}, {device} has {gpu}; {again}")
    built = bench.engine(folder / "model.onnx")
    if built.record.model_sha256 == found["model_sha256"] and built.record.sha256 != found["sha256"]:
        built.replace((folder / ENGINE).read_bytes())


def engine_builder(device: DeviceProfile, precision: str) -> Bench:
    """Reaches what builds engines for a device; close it, or use it in a `with` statement.

    Raises:
        DeviceError: The device cannot be reached, has no TensorRT, or is only known from a table.
    """
    if device.connection == "none":
        raise DeviceError(
            f"device {device.name} is only known from a table: no engine can be built on it; add your board"
            " (hwtickets devices add NAME --ssh user@host), or build ahead of time here: --device cpu"
        )
    if device.runtime in RUNTIMES:
        return open_bench(device, precision)
    if device.connection == "ssh":
        raise DeviceError(
            f"device {device.name} runs {device.runtime}, which has no engines; add it with TensorRT:"
            f" hwtickets devices add {device.name} --ssh {device.host} --runtime trtexec"
        )
    if not any(map(importlib.util.find_spec, ("tensorrt", "tensorrt_rtx"))):
        raise DeviceError(
            "there is no TensorRT on this machine that could build an engine; TensorRT-RTX builds ahead of"
            " time without a GPU: pip install 'hwtickets[tensorrt-rtx]'"
        )
    return TensorRTBench(hold(device), device, precision, {})
