"""What unstructured masks buy on a dense runtime: size once compressed, not time.

One network with the smallest 0, 50, 80 and 90 % of its weights set to zero, exported and timed side by side.
The network is the dense supernet with fresh weights, or a trained ticket.

python -m benchmarks.masks --ticket runs/accuracy/seed-0/40pc/ticket --output results/masks.jsonl
"""

from __future__ import annotations

import argparse
import copy
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks import common
from benchmarks.common import Points, Table, microseconds, percent
from hwtickets.budgets import format_amount
from hwtickets.deploy.check import measure
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.onnx_export import export_onnx, write_onnx
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.sparsity.mask import apply_masks, magnitude_masks, sparsity_of
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.supernets import Supernet, build_supernet

SPARSITIES = (0.0, 0.5, 0.8, 0.9)
#: The unmasked network in a second session: how far two sessions of one model differ.
CONTROL = "0, again"


def network(options: argparse.Namespace) -> tuple[Supernet, dict[str, str]]:
    """The network to be masked, and its deployed forms."""
    if options.ticket is not None:
        ticket = Ticket.load(options.ticket)
        return ticket.module(), ticket.architecture.forms
    supernet = common.search_config(options.config).supernet
    torch.manual_seed(0)
    return build_supernet(supernet.name, options.input, common.CLASSES, supernet.sizes).eval(), {}


def compare(
    model: Supernet, forms: dict[str, str], device: DeviceProfile, runs: int, layer_floor: float
) -> dict[str, Any]:
    """Exports and times the network at every sparsity.

    Args:
        model: The network.
        forms: Its deployed forms.
        device: Where to time.
        runs: Timed runs of each.
        layer_floor: Share of its weights that a mask leaves in every layer.

    Returns:
        By sparsity: share of zeros, sizes in bytes, latency in ms and its ratio to the unmasked network.
    """
    with TemporaryDirectory(prefix="hwtickets-") as folder:
        paths = {str(sparsity): Path(folder) / f"{sparsity}.onnx" for sparsity in SPARSITIES}
        zeros = {
            name: _export_masked(model, float(name), forms, layer_floor, path) for name, path in paths.items()
        }
        image = np.random.default_rng(0).standard_normal((1, *model.input_shape)).astype(np.float32)
        paths[CONTROL], zeros[CONTROL] = paths[str(SPARSITIES[0])], zeros[str(SPARSITIES[0])]
        with open_bench(device) as bench:
            measured = measure(paths, str(SPARSITIES[0]), bench, runs, image)
        return {
            name: {
                "zeros": zeros[name],
                "size_bytes": path.stat().st_size,
                "compressed_bytes": len(zlib.compress(path.read_bytes())),
                "latency_ms": measured.timings[name].summary(),
                "ratio": dict(zip(("median", "low", "high"), measured.ratios[name], strict=True)),
            }
            for name, path in paths.items()
        }


def _export_masked(
    model: Supernet, sparsity: float, forms: dict[str, str], layer_floor: float, path: Path
) -> float:
    """Writes the masked network as ONNX; the share of zeros among its maskable weights."""
    masked = copy.deepcopy(model)
    apply_masks(masked, magnitude_masks(masked, sparsity, layer_floor))
    write_onnx(export_onnx(deployable(masked, forms), masked.input_shape), path, {})
    return sparsity_of(masked)


def row_of(sparsity: str, point: dict[str, Any], dense: dict[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        "unmasked again" if sparsity == CONTROL else percent(float(sparsity), 0),
        percent(point["zeros"]),
        microseconds(point["latency_ms"]["p50"]),
        common.ratio_text(point["ratio"]),
        format_amount("size", point["size_bytes"]),
        format_amount("size", point["compressed_bytes"]),
        percent(point["compressed_bytes"] / dense["compressed_bytes"]),
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument(
        "--ticket", type=Path, metavar="DIR", help="mask this ticket (default: the dense supernet)"
    )
    parser.add_argument(
        "--runs", type=int, default=3000, metavar="N", help="timed runs of each (default: 3000)"
    )
    parser.add_argument(
        "--input",
        type=common.input_shape,
        default=(1, 28, 28),
        metavar="CxHxW",
        help="channels, height and width of the dense supernet's inputs (default: 1x28x28)",
    )
    return parser.parse_args()


def main() -> None:
    """Measures every sparsity and prints latency and sizes."""
    options = arguments()
    config = common.search_config(options.config)
    model, forms = network(options)
    name = "dense supernet" if options.ticket is None else ticket_hash(options.ticket)
    settings = {"supernet": config.supernet, "input": options.input, "layer_floor": config.layer_floor}
    points = Points("masks", options.output, settings)
    device = get_device(config.device)
    result = points.once(
        {"network": name, "runs": options.runs},
        lambda: compare(model, forms, device, options.runs, config.layer_floor),
    )
    dense = result[str(SPARSITIES[0])]
    columns = ("masked", "zeros", "latency", "ratio to unmasked", "ONNX file", "compressed", "of unmasked")
    rows = [row_of(sparsity, point, dense) for sparsity, point in result.items()]
    title = f"Unstructured masks, {name}, {device.runtime}"
    common.show({"network": name, "sparsities": result}, [Table(title, columns, rows)], options.json)


if __name__ == "__main__":
    common.run(main)
