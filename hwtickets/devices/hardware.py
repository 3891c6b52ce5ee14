"""What is known of a device's hardware besides its speed, and where it is known from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.runtimes import LOCAL_RUNTIMES
from hwtickets.errors import DeviceError

#: By module: deep-learning accelerators, and whether its GPU multiplies 2:4 sparse matrices (compute
#: capability 8.0 and later). The first that a name matches counts. Source: NVIDIA's data sheets.
_MODULES: tuple[tuple[str, int | None, bool], ...] = (
    (r"thor", 0, True),
    (r"agx[ -]orin", 2, True),
    (r"orin[ -]nano", 0, True),
    (r"orin", None, True),  # One or two, by the memory of the Orin NX.
    (r"xavier", 2, False),
    (r"jetson.*(tx1|tx2|nano)", 0, False),
    (r"raspberry[ -]?pi|rpi", 0, False),
)
#: Compute capability from which tensor cores multiply 2:4 sparse matrices (CUDA C++ programming guide).
_SPARSE_SINCE = (8, 0)
_BY_NAME = "known of the module by its name"
ASKED = "asked of the board when it was added"


def module_facts(model: str | None) -> dict[str, Any]:
    """Fields of a profile that follow from the name of a module, with their `sources`; empty if unknown.

    Args:
        model: e.g. "NVIDIA Jetson Orin Nano Developer Kit", or None.
    """
    for pattern, dla_cores, sparse in _MODULES:
        if re.search(pattern, model or "", re.IGNORECASE):
            facts = {"dla_cores": dla_cores, "sparse_tensor_cores": sparse}
            known = {field: value for field, value in facts.items() if value is not None}
            return {**known, "sources": dict.fromkeys(known, _BY_NAME)}
    return {"sources": {}}


def board_hardware(
    model: str | None, power_rails: Sequence[str], compute_capability: str | None = None
) -> dict[str, Any]:
    """Fields of the profile of a board that was asked, with their `sources`.

    Args:
        model: As the board calls itself, or None.
        power_rails: Power sensors that it has.
        compute_capability: Of its GPU, e.g. "8.7"; None where there is none.
    """
    facts = module_facts(model)
    asked: dict[str, Any] = {"sensors": tuple(power_rails)}
    if compute_capability is not None:
        major, _, minor = compute_capability.partition(".")
        asked["sparse_tensor_cores"] = (int(major), int(minor)) >= _SPARSE_SINCE
    return {**facts, **asked, "sources": {**facts["sources"], **dict.fromkeys(asked, ASKED)}}


def with_sensors(device: DeviceProfile) -> DeviceProfile:
    """The profile of this machine with the power sensor that answers now, or why none does."""
    from hwtickets.power import find_meter

    if device.connection != "local":
        return device
    sensors: tuple[str, ...] = ()
    known = LOCAL_RUNTIMES.get(device.runtime)
    try:
        meter = find_meter(device.name, gpu=known is not None and known.gpu)
        sensors, source = (meter.name,), "asked now"
    except DeviceError as error:
        source = str(error)
    return device.model_copy(update={"sensors": sensors, "sources": {**device.sources, "sensors": source}})
