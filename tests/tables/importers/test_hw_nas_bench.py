from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwtickets.errors import HwticketsError, UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables import LatencyTable

BLOCK = "ConvBlock_H32_W32_Cin16_Cout24_exp6_kernel5_stride2_group1"
SAME = "ConvBlock_H16_W16_Cin24_Cout24_exp1_kernel3_stride1_group2"
KEYS = {
    "ConvNorm_H32_W32_Cin3_Cout16_kernel3_stride1_group1": 0.5,
    BLOCK: 2.0,
    SAME: 1.0,
    "Skip_H32_W32_Cin16_Cout24_stride2": 0.25,
    "Skip_H16_W16_Cin24_Cout24_stride1": 0.0,
    "AvgP_H4_W4_Cin1504_Cout1504_kernel4_stride1": 0.125,
    "FC_Cin1504_Cout100": 0.375,
}


def content(latencies: dict[str, Any] | None = None) -> dict[str, Any]:
    """What HW-NAS-Bench's reader (`hw_nas_bench_api`, MIT) finds in its pickle; the values are made up."""
    latencies = latencies or KEYS
    energies = {key: 10 * float(value) for key, value in KEYS.items()}
    networks = {"edgegpu_latency": np.ones(3), "config": [{"arch_str": "|avg_pool_3x3~0|"}]}
    return {
        "nasbench201": {"cifar10": networks},
        "fbnet": {
            "edgegpu_latency": latencies,
            "edgegpu_energy": energies,
            "raspi4_latency": {key: np.float64(3 * value) for key, value in KEYS.items()},
            "fpga_latency": KEYS,
        },
    }


def write(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def test_latency_and_energy_of_the_blocks(imported: Callable[..., LatencyTable], tmp_path: Path) -> None:
    table = imported(write(tmp_path / "a.pickle", content()), select="edgegpu")
    found = {spec: (row.latency_ms, row.energy_mj) for spec, row in table.rows.items()}
    assert found == {
        OperatorSpec("conv", 3, 16, 3, 1, 1, 32, 32, "relu"): (0.5, 5.0),
        OperatorSpec("mbconv", 16, 24, 5, 2, 1, 32, 32, "relu", hidden=96): (2.0, 20.0),
        OperatorSpec("mbconv", 24, 24, 3, 1, 2, 16, 16, "relu", True, hidden=24): (1.0, 10.0),
        OperatorSpec("conv", 16, 24, 1, 2, 1, 32, 32, "relu"): (0.25, 2.5),
        OperatorSpec("pool", 1504, 1504, height=4, width=4): (0.125, 1.25),
        OperatorSpec("linear", 1504, 100): (0.375, 3.75),
    }
    assert table.provenance["skipped"] == {
        "the networks of NAS-Bench-201, which are no operators": 1,
        "skip connections, which do nothing": 1,
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("core", ["_core", "core"])
def test_numbers_of_numpy_in_every_protocol(
    imported: Callable[..., LatencyTable], tmp_path: Path, protocol: int, core: str
) -> None:
    path = write(tmp_path / "a.pickle", content(), protocol)
    if protocol < 4:
        # NumPy 1, with which the real file was written, calls its module so.
        path.write_bytes(path.read_bytes().replace(b"numpy._core", f"numpy.{core}".encode()))
    rows = imported(path, select="raspi4").rows
    assert rows[OperatorSpec("linear", 1504, 100)].latency_ms == pytest.approx(1.125)
    assert rows[OperatorSpec("linear", 1504, 100)].energy_mj is None


@pytest.mark.parametrize(("select", "kind"), [("fpga", "simulated"), ("raspi4", "measured")])
def test_a_simulated_device_says_so(
    imported: Callable[..., LatencyTable], tmp_path: Path, select: str, kind: str
) -> None:
    table = imported(write(tmp_path / "a.pickle", content()), select=select)
    assert table.provenance["kind"] == f"{kind} elsewhere"


@pytest.mark.parametrize("select", [None, "jetson"])
def test_one_device_has_to_be_chosen(
    imported: Callable[..., LatencyTable], tmp_path: Path, select: str | None
) -> None:
    with pytest.raises(UsageError, match="--select edgegpu or fpga or raspi4"):
        imported(write(tmp_path / "a.pickle", content()), select=select)


@pytest.mark.parametrize(
    ("latencies", "reason"),
    [
        ({BLOCK: -1.0}, "is -1.0, not a number of milliseconds"),
        ({BLOCK: float("nan")}, "is nan"),
        ({BLOCK: "fast"}, "is 'fast'"),
        ({BLOCK: np.ones(2)}, "2 numbers where there should be one"),
        ({BLOCK: np.array(["a"], dtype=object)}, "an array in its pickle is damaged"),
        ({"Block_H1": 1.0}, "there is no block of FBNet called 'Block_H1'"),
        ({5: 1.0}, "its table 'edgegpu_latency' is not a list of blocks and numbers"),
        ({"FC_Cin1504_Cout0": 1.0}, "there is no block of FBNet"),
        ({"ConvNorm_Cin8_Cout9_group4": 1.0}, "there is no operator of the sizes"),
    ],
)
def test_a_bad_value_names_the_block(
    imported: Callable[..., LatencyTable], tmp_path: Path, latencies: dict[Any, Any], reason: str
) -> None:
    with pytest.raises(HwticketsError, match=reason) as caught:
        imported(write(tmp_path / "a.pickle", content(latencies)), select="edgegpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[], {}, {"fbnet": []}, {"fbnet": {1: {}}}, 5, {"fbnet": {}}])
def test_another_pickle_is_refused(
    imported: Callable[..., LatencyTable], tmp_path: Path, value: object
) -> None:
    with pytest.raises(HwticketsError, match=r"a\.pickle"):
        imported(write(tmp_path / "a.pickle", value), select="edgegpu")
