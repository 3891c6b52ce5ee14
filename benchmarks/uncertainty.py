"""How far measurements of the same two networks are apart, of so many runs and of as many as it takes.

What a closed loop decides by is the ratio of a ticket to the dense network. Here both are networks of the
zoo, dense and with half of all channels, measured again and again as a draw is: once, and until the ratio's
95 % interval is at most 1 % to both sides (or nothing is gained any more, see `measure`).

python -m benchmarks.uncertainty
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import common
from benchmarks.architectures import Architecture, chosen
from benchmarks.zoo_ticket import Hosted
from hwtickets import files
from hwtickets.deploy.check import measure
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.devices import get_device, open_bench
from hwtickets.main_job.delivery import DRAW_RUNS

_NETWORKS = ["mobilenetv2_050", "resnet18"]
_WAYS = {"once": None, "until 1 %": 0.01}


def main() -> None:
    """Measures every network both ways, in turns."""
    parser = common.parser(__doc__)
    parser.add_argument("--networks", type=common.texts, default=_NETWORKS, help="of the zoo")
    parser.add_argument("--rounds", type=int, default=12, help="measurements of each way (default: 12)")
    options = parser.parse_args()
    networks = chosen(options.networks)
    found = {network.name: measured(network, options.rounds) for network in networks}
    rows = [
        [
            name,
            way,
            f"{one['ratio']:.3f}",
            common.percent(one["deviation"]),
            common.percent(one["furthest"]),
            f"{one['runs']:.0f}",
            f"{one['seconds']:.1f}",
        ]
        for name, ways in found.items()
        for way, one in ways.items()
    ]
    columns = [
        "network",
        "measured",
        "ratio",
        "standard deviation",
        "furthest from median",
        "runs",
        "seconds",
    ]
    common.show(
        {"networks": found}, [common.Table("Ratios of the same two networks", columns, rows)], options.json
    )


def measured(architecture: Architecture, rounds: int) -> dict[str, dict[str, float]]:
    """By way: the median ratio, how its measurements spread (as shares of it), and what one takes."""
    space = Hosted.of(architecture).space
    widths = {
        "dense": space.dense(),
        "half": {name: -(-unit.width // 2) for name, unit in space.units.items()},
    }
    ratios: dict[str, list[float]] = {way: [] for way in _WAYS}
    runs: dict[str, list[int]] = {way: [] for way in _WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    image: NDArray[np.float32] = (
        np.random.default_rng(0).normal(size=(1, *space.input_shape)).astype(np.float32)
    )
    with tempfile.TemporaryDirectory() as folder, open_bench(get_device("cpu")) as bench:
        models = {name: Path(folder) / f"{name}.onnx" for name in widths}
        for name, path in models.items():
            files.write_bytes(path, export_onnx(space.module(widths[name]), space.input_shape))
        for _ in range(rounds):
            for way, uncertainty in _WAYS.items():
                begin_s = time.perf_counter()
                one = measure(models, "dense", bench, DRAW_RUNS, image, uncertainty)
                seconds[way].append(time.perf_counter() - begin_s)
                ratios[way].append(one.ratios["half"][0])
                runs[way].append(one.timings["half"].runs)
    return {way: _summary(ratios[way], runs[way], seconds[way]) for way in _WAYS}


def _summary(ratios: list[float], runs: list[int], seconds: list[float]) -> dict[str, Any]:
    median = float(np.median(ratios))
    shares = np.array(ratios) / median - 1
    return {
        "ratio": median,
        "deviation": float(np.sqrt(np.square(shares).mean())),
        "furthest": float(np.abs(shares).max()),
        "runs": float(np.mean(runs)),
        "seconds": float(np.mean(seconds)),
    }


if __name__ == "__main__":
    common.run(main)
