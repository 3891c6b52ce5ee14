"""Energy of networks on a bench: this machine's own sensors, or those that a board's agent reads."""

from __future__ import annotations

from collections.abc import Mapping

from hwtickets.devices.profile import DeviceProfile
from hwtickets.errors import DeviceError
from hwtickets.power.find import NoMeterError, find_meter
from hwtickets.power.measure import EnergyPerRun, energy_per_run
from hwtickets.power.samples import energy_of_samples
from hwtickets.runtimes import Bench, load
from hwtickets.runtimes.bench import Model
from hwtickets.runtimes.onnxruntime import Array

_NO_SENSOR = "no power sensor"


def bench_energy(
    bench: Bench, device: DeviceProfile, model: Model, inputs: Mapping[str, Array], seconds: float = 2.0
) -> EnergyPerRun:
    """Measures the energy of one inference while a network runs back to back.

    Args:
        bench: The device, ready.
        device: Its profile.
        model: The network.
        inputs: What it is run on.
        seconds: Length of the window.

    Raises:
        NoMeterError: There is no sensor, or none that this runtime can be measured with.
        DeviceError: The device or its sensor stopped answering.
    """
    samples = getattr(bench, "power_samples", None)
    if samples is not None:
        try:
            return energy_of_samples(device.name, samples(model, inputs, seconds))
        except DeviceError as error:
            if _NO_SENSOR in str(error):
                raise NoMeterError(device.name, str(error)) from error
            raise
    if device.connection != "local" or device.runtime != "onnxruntime":
        raise NoMeterError(device.name, f"nothing reads its sensors while {device.runtime} runs")
    session = load(model, device.threads)
    # ONNX Runtime computes on the CPU here: what a discrete GPU takes says nothing.
    meter = find_meter(device.name, gpu=False)
    return energy_per_run(lambda: session.run(inputs), meter, seconds, seconds / 2)
