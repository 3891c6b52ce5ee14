"""Networks as they are deployed: those of a run, and random ones, in fp32 and in int8."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from hwtickets import api
from hwtickets.deploy.bundle import read_bundle
from hwtickets.deploy.quantization import X86, Quantizer
from hwtickets.devices import DeviceProfile, fingerprint, get_device
from hwtickets.errors import DeviceError, UsageError
from hwtickets.progress import Progress
from hwtickets.runtimes import Runtime, local_runtime

DENSE, TICKET, INT8 = "dense fp32", "ticket fp32", "ticket int8"
#: Run folder of the search that is looked at if nothing is said.
RUN = "runs/precisions"


@dataclass(frozen=True)
class Way:
    """A device and what it computes in where the graph does not say.

    Attributes:
        device: On this machine.
        precision: One of the device's.
    """

    device: DeviceProfile
    precision: str = "fp32"

    def runtime(self) -> Runtime:
        """The runtime, ready to load networks."""
        if self.device.connection != "local":
            raise DeviceError(f"device {self.device.name} is not this machine; take one like cpu-openvino")
        return local_runtime(self.device.runtime, self.device.threads, self.precision)


def parser(text: str | None, runs: int, runs_of: str) -> argparse.ArgumentParser:
    """A parser with the options that name the run, the devices and how often each is run.

    Args:
        text: The docstring of the benchmark.
        runs: Runs if nothing is said.
        runs_of: What is run so often.
    """
    made = common.parser(text)
    common.add_config(made)
    made.add_argument(
        "--run",
        type=Path,
        default=Path(RUN),
        metavar="DIR",
        help=f"run folder of a search; made by --config if it is not there (default: {RUN})",
    )
    made.add_argument(
        "--devices",
        type=common.texts,
        default=["cpu", "cpu-openvino"],
        metavar="NAMES",
        help="this machine's runtimes (default: cpu,cpu-openvino)",
    )
    made.add_argument("--runs", type=int, default=runs, metavar="N", help=f"{runs_of} (default: {runs})")
    return made


def devices_of(options: argparse.Namespace) -> list[DeviceProfile]:
    """The devices that were named."""
    return [get_device(name) for name in options.devices]


def bundles_of(options: argparse.Namespace) -> dict[str, Path]:
    """The bundles of a run, searched for and exported where they are not there yet.

    Returns:
        Folders of the dense network and the ticket in fp32, and of the ticket in int8.
    """
    run: Path = options.run
    if not (run / "ticket").exists():
        config = common.search_config(options.config)
        api.search(config, run, True, False, Progress(api.search_stages(config)), "benchmarks.precisions")
    dense, int8 = run / "state" / "dense" / "bundle", run / "bundle-int8"
    if not dense.exists():
        raise UsageError(f"{run} has no trained dense network; search with: baseline: true")
    if not (int8 / "model.json").exists():
        api.export(run / "ticket", "onnx", int8, Progress(), "int8")
    return {DENSE: dense, TICKET: run / "bundle", INT8: int8}


def versions_of(devices: list[DeviceProfile]) -> str:
    """The runtimes with their versions."""
    return ", ".join(fingerprint(device)["runtime"] for device in devices)


def runs_int8(device: DeviceProfile) -> bool:
    """Whether the runtime has operators for graphs in int8."""
    return device.runtime in ("onnxruntime", "openvino")


def image_of(bundle: Path) -> dict[str, NDArray[Any]]:
    """One real input."""
    return {"x": read_bundle(bundle).samples.inputs[:1]}


def quantized(model: bytes, shape: tuple[int, int, int], images: int = 8) -> bytes:
    """A network in int8 that is only timed: its ranges are those of random images."""
    random = np.random.default_rng(0).standard_normal((images, *shape)).astype(np.float32)
    return Quantizer(model, X86, random).quantized()
