"""HW-NAS-Bench's pickle: latencies and energies of FBNet's blocks on several devices.

`content["fbnet"]["raspi4_latency"]["ConvBlock_H32_W32_Cin16_Cout16_exp1_kernel3_stride1_group1"]`, in ms; the
`_energy` tables in mJ. The other part, "nasbench201", holds whole networks, not operators. Source:
GATECH-EIC/HW-NAS-Bench, `hw_nas_bench_api` (MIT).
"""

from __future__ import annotations

import re
from typing import Any

from hwtickets.errors import UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.importers.blocks import inverted_residual
from hwtickets.tables.importers.collected import Collected, Found
from hwtickets.tables.importers.pickles import load_plain, plain
from hwtickets.tables.importers.sources import Source, number

_N = r"[1-9]\d{0,5}"
_KEY = re.compile(
    rf"(?P<type>ConvNorm|ConvBlock|Skip|AvgP|FC)(?:_H(?P<H>{_N})_W(?P<W>{_N}))?_Cin(?P<Cin>{_N})_Cout(?P<Cout>{_N})"
    rf"(?:_exp(?P<exp>{_N}))?(?:_kernel(?P<kernel>{_N}))?(?:_stride(?P<stride>[1-9]))?(?:_group(?P<group>{_N}))?",
    re.ASCII,
)
#: Devices whose figures come from a model of the hardware.
_SIMULATED = ("eyeriss", "fpga")


def recognises(source: Source) -> bool:
    """Whether a source is a pickle of protocol 2 or later."""
    return source.data[:1] == b"\x80"


def collect(source: Source, select: str | None) -> Collected:
    """Reads the blocks of one device.

    Args:
        source: The pickle.
        select: Name of the device in it, e.g. "raspi4".

    Raises:
        HwticketsError: The pickle is damaged, refused, or another one.
        UsageError: The device is not there, or there are several and none is selected.
    """
    content = load_plain(source)
    tables = content.get("fbnet") if isinstance(content, dict) else None
    if not isinstance(tables, dict) or not all(isinstance(name, str) for name in tables):
        raise source.fault("its pickle holds no tables 'fbnet' of HW-NAS-Bench")
    device = _device(source, tables, select)
    latencies_ms = _table(source, tables, f"{device}_latency")
    energies_mj = _table(source, tables, f"{device}_energy") if f"{device}_energy" in tables else {}
    collected = Collected("ms and mJ, as they are", simulated=device in _SIMULATED)
    if "nasbench201" in content:
        collected.skip("the networks of NAS-Bench-201, which are no operators")
    for key, value in latencies_ms.items():
        _add(collected, source, key, value, energies_mj.get(key))
    return collected


def _device(source: Source, tables: dict[str, Any], select: str | None) -> str:
    devices = sorted(name[: -len("_latency")] for name in tables if name.endswith("_latency"))
    if select in devices:
        return str(select)
    if select is None and len(devices) == 1:
        return devices[0]
    asked = f"no device '{select}'" if select else f"{len(devices)} devices"
    raise UsageError(f"{source.path} holds {asked}; choose one: --select {' or '.join(devices)}")


def _table(source: Source, tables: dict[str, Any], name: str) -> dict[str, Any]:
    table = tables[name]
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table):
        raise source.fault(f"its table '{name}' is not a list of blocks and numbers")
    return table


def _add(collected: Collected, source: Source, key: str, latency: Any, energy: Any) -> None:
    match = _KEY.fullmatch(key)
    if match is None:
        raise source.fault(f"there is no block of FBNet called '{key:.100}'")
    latency_ms = source.milliseconds(plain(source, latency), key)
    energy_mj = None if energy is None else number(plain(source, energy))
    if energy is not None and (energy_mj is None or energy_mj < 0):
        raise source.fault(f"the energy of {key} is not a number of millijoules")
    parts = match.groupdict()
    spec = _spec(parts.pop("type"), {name: int(text) for name, text in parts.items() if text is not None})
    if isinstance(spec, str):
        collected.skip(spec)
    elif latency_ms == 0:
        collected.skip("takes no time")
    else:
        collected.add(source, spec, Found(latency_ms, energy_mj=energy_mj or None))


def _spec(kind: str, sizes: dict[str, int]) -> OperatorSpec | str:
    """The operator of a key, or why there is none."""
    height, width = sizes.get("H", 1), sizes.get("W", 1)
    c_in, c_out = sizes["Cin"], sizes["Cout"]
    kernel, stride, groups = sizes.get("kernel", 1), sizes.get("stride", 1), sizes.get("group", 1)
    if kind == "FC":
        return OperatorSpec("linear", c_in, c_out)
    if kind == "AvgP":
        return (
            OperatorSpec("pool", c_in, c_out, height=height, width=width)
            if kernel == height == width
            else "pooling of a part of the image"
        )
    if kind == "ConvNorm":
        return OperatorSpec("conv", c_in, c_out, kernel, stride, groups, height, width, "relu")
    if kind == "Skip":
        # Where shapes change, a 1x1 convolution stands for the skip; else nothing is done.
        if stride == 1 and c_in == c_out:
            return "skip connections, which do nothing"
        return OperatorSpec("conv", c_in, c_out, 1, stride, 1, height, width, "relu")
    hidden, residual = c_in * sizes.get("exp", 1), stride == 1 and c_in == c_out
    return inverted_residual(
        c_in, hidden, c_out, kernel, stride, height, width, groups=groups, residual=residual
    )
