"""What zeros buy: dense against masked against 2:4, in time and in size, and 2:4 by layer shape on a GPU.

One network, dense, with the smallest 50 and 90 % of its weights set to zero, and with 2 of every 4, timed
side by side. On a device with TensorRT, the layers of the 2:4 network follow: whether a sparse kernel was
really chosen, and what dense and sparse take. With an NVIDIA GPU here that has sparse tensor cores, products
of growing size are timed dense and sparse (cuSPARSELt through torch).

python -m benchmarks.sparse --output results/sparse.jsonl
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
from hwtickets.deploy.onnx_export import export_onnx
from hwtickets.deploy.packed import packed
from hwtickets.deploy.sparse_account import sparse_account_on
from hwtickets.deploy.two_four import pruned, weight_sparsity
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.errors import HwticketsError
from hwtickets.runtimes.semi_structured import require_sparse_tensor_cores, time_product
from hwtickets.sparsity.mask import apply_masks, magnitude_masks
from hwtickets.sparsity.ticket import Ticket
from hwtickets.supernets import Supernet, build_supernet

DENSE, AGAIN, TWO_FOUR = "dense", "dense again", "2:4"
MASKED = {"masked 50 %": 0.5, "masked 90 %": 0.9}
#: Output channels, input channels and rows (height x width x batch) of a product.
SHAPES = (
    (64, 64, 3136),
    (128, 128, 784),
    (256, 256, 784),
    (512, 512, 196),
    (1024, 1024, 784),
    (2048, 2048, 3136),
    (4096, 4096, 8192),
)


def network(options: argparse.Namespace) -> tuple[Supernet, dict[str, str]]:
    """The network to be masked, and its deployed forms."""
    if options.ticket is not None:
        ticket = Ticket.load(options.ticket)
        return ticket.module(), ticket.architecture.forms
    supernet = common.search_config(options.config).supernet
    torch.manual_seed(0)
    return build_supernet(supernet.name, options.input, common.CLASSES, supernet.sizes).eval(), {}


def variants(model: Supernet, forms: dict[str, str], layer_floor: float) -> dict[str, bytes]:
    """Serialized networks by name; the dense one twice, to show how far two sessions of one model differ."""
    dense = export_onnx(deployable(model, forms), model.input_shape)
    found = {DENSE: dense, AGAIN: dense, TWO_FOUR: pruned(dense)}
    for name, sparsity in MASKED.items():
        masked = copy.deepcopy(model)
        apply_masks(masked, magnitude_masks(masked, sparsity, layer_floor))
        found[name] = export_onnx(deployable(masked, forms), model.input_shape)
    return found


def compare(
    models: dict[str, bytes], shape: tuple[int, ...], device: DeviceProfile, runs: int
) -> dict[str, Any]:
    """Times the networks side by side.

    Returns:
        `networks`: by name the share of zeros, sizes in bytes, latency in ms and its ratio to the dense
        network; `layers`: what became of the 2:4 network's weights, where the device builds engines.
    """
    image = np.random.default_rng(0).standard_normal((1, *shape)).astype(np.float32)
    with TemporaryDirectory(prefix="hwtickets-") as folder, open_bench(device) as bench:
        paths = {name: Path(folder) / f"{index}.onnx" for index, name in enumerate(models)}
        for name, path in paths.items():
            path.write_bytes(models[name])
        measured = measure(paths, DENSE, bench, runs, image)
        layers = sparse_account_on(bench, paths[TWO_FOUR], {"x": image})
    networks = {
        name: {
            "zeros": zeros(model),
            "size_bytes": len(model),
            "deflated_bytes": len(zlib.compress(model, 9)),
            "packed_bytes": len(packed(model)),
            "latency_ms": measured.timings[name].summary(),
            "ratio": dict(zip(("median", "low", "high"), measured.ratios[name], strict=True)),
        }
        for name, model in models.items()
    }
    return {"networks": networks, "layers": layers}


def zeros(model: bytes) -> float:
    """Share of zeros among the weights of convolutions and products."""
    found = weight_sparsity(model)
    sizes = [float(np.prod(weight.shape)) for weight in found]
    return sum(weight.zeros * size for weight, size in zip(found, sizes, strict=True)) / sum(sizes)


def products() -> dict[str, Any]:
    """2:4 by shape on the GPU that is here: times in ms, or why a shape or the GPU cannot."""
    result: dict[str, Any] = {"gpu": require_sparse_tensor_cores(), "shapes": []}
    for c_out, c_in, rows in SHAPES:
        try:
            found: dict[str, Any] = time_product(c_out, c_in, rows)._asdict()
        except HwticketsError as error:
            found = {"refused": str(error)}
        result["shapes"].append({"c_out": c_out, "c_in": c_in, "rows": rows, **found})
    return result


def network_rows(networks: dict[str, Any]) -> list[list[str]]:
    """The table of whole networks."""
    return [
        [
            name,
            percent(entry["zeros"]),
            microseconds(entry["latency_ms"]["p50"]),
            common.ratio_text(entry["ratio"]),
            format_amount("size", entry["size_bytes"]),
            percent(entry["deflated_bytes"] / entry["size_bytes"]),
            percent(entry["packed_bytes"] / entry["size_bytes"]),
        ]
        for name, entry in networks.items()
    ]


def layer_rows(layers: list[dict[str, Any]]) -> list[list[str]]:
    """The table of an engine's layers."""
    return [
        [
            entry["node"],
            "x".join(map(str, entry["shape"])),
            entry["pattern"],
            entry["kernel"],
            *("-" if entry[key] is None else microseconds(entry[key]) for key in ("dense_ms", "sparse_ms")),
            "-" if entry["ratio"] is None else f"{entry['ratio']:.3f}",
        ]
        for entry in layers
    ]


def product_rows(shapes: list[dict[str, Any]]) -> list[list[str]]:
    """The table of products."""
    return [
        [
            f"{entry['c_out']} x {entry['c_in']}",
            str(entry["rows"]),
            *(microseconds(entry[key]) if key in entry else "refused" for key in ("dense_ms", "sparse_ms")),
            f"{entry['dense_ms'] / entry['sparse_ms']:.2f}" if "dense_ms" in entry else entry["refused"],
        ]
        for entry in shapes
    ]


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    common.add_config(parser)
    parser.add_argument(
        "--ticket", type=Path, metavar="DIR", help="this ticket (default: the dense supernet)"
    )
    parser.add_argument("--device", metavar="NAME", help="where to time (default: the configuration's)")
    parser.add_argument("--runs", type=int, default=2000, metavar="N", help="timed runs each (default: 2000)")
    parser.add_argument(
        "--input",
        type=common.input_shape,
        default=(1, 28, 28),
        metavar="CxHxW",
        help="channels, height and width of the dense supernet's inputs (default: 1x28x28)",
    )
    return parser.parse_args()


def main() -> None:
    """Measures and prints."""
    options = arguments()
    config = common.search_config(options.config)
    device = get_device(options.device or config.device)
    model, forms = network(options)
    settings = {"supernet": config.supernet, "input": model.input_shape, "layer_floor": config.layer_floor}
    points = Points("sparse", options.output, settings)
    found = points.once(
        {"ticket": options.ticket, "device": device.name, "runs": options.runs},
        lambda: compare(variants(model, forms, config.layer_floor), model.input_shape, device, options.runs),
    )
    networks = ("network", "zeros", "latency", "ratio to dense", "ONNX file", "deflated", "packed")
    tables = [Table(f"Zeros in {device.runtime}", networks, network_rows(found["networks"]))]
    if found["layers"]:
        layers = ("operator", "weight", "pattern", "kernel", "dense", "2:4", "ratio")
        tables.append(Table("Layers of the 2:4 network", layers, layer_rows(found["layers"])))
    result: dict[str, Any] = {**found, "products": None}
    if torch.cuda.is_available():
        result["products"] = points.once({"products": SHAPES}, products)
        shapes = ("weight", "rows", "dense", "2:4", "times as fast")
        title = f"2:4 by shape, fp16, {result['products']['gpu']}"
        tables.append(Table(title, shapes, product_rows(result["products"]["shapes"])))
    common.show(result, tables, options.json)
    if not torch.cuda.is_available() and not options.json:
        print("\n2:4 by layer shape: not measured, there is no NVIDIA GPU here")


if __name__ == "__main__":
    common.run(main)
