"""The searched network that HR-NAS published, as a network of our `hrnas` supernet.

HR-NAS ships the widths of its searched ImageNet network as `checkpoint.json`: for every searching block, in
the order of construction, [output channels, 1, stride, kernel sizes, hidden channels of each kernel, true].
This reads your copy of that file, and says what the network costs.

python -m benchmarks.published --checkpoint checkpoint.json
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import common
from benchmarks.common import Table
from hwtickets import files
from hwtickets.errors import UsageError
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import MixConvBlock, Supernet, build_supernet

#: What the paper's classification network sees.
INPUT, IMAGENET_CLASSES = (3, 224, 224), 1000


def supernet() -> Supernet:
    """The supernet that the published network was searched in, its weights random."""
    return build_supernet("hrnas", INPUT, IMAGENET_CLASSES, {})


def published_widths(file: Path, model: Supernet) -> dict[str, int]:
    """Channels kept by unit.

    Args:
        file: `checkpoint.json` of HR-NAS.
        model: The supernet.

    Raises:
        HwticketsError: The file is missing or no JSON.
        UsageError: It describes another supernet.
    """
    entries = files.read_json(file, "published network")
    blocks = list(model.searching_blocks())
    if not isinstance(entries, list) or len(entries) != len(blocks):
        raise UsageError(f"{file}: it does not list {len(blocks)} blocks; give HR-NAS's checkpoint.json")
    widths: dict[str, int] = {}
    for (name, block), entry in zip(blocks, entries, strict=True):
        widths |= {f"{name}.{unit}": width for unit, width in _block_widths(file, name, block, entry).items()}
    return widths


def _block_widths(file: Path, name: str, block: torch.nn.Module, entry: list[Any]) -> dict[str, int]:
    assert isinstance(block, MixConvBlock)
    try:
        c_out, _, stride, kernels, hidden, _ = entry
        kept = {f"k{kernel}": int(width) for kernel, width in zip(kernels, hidden, strict=True)}
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{file}: block {name} is not [channels, 1, stride, kernels, hidden, true]"
        ) from error
    if (c_out, stride) != (block.c_out, block.stride) or not set(kept) <= set(block.branches):
        raise UsageError(f"{file}: block {name} is one of another supernet: {entry}")
    return {**dict.fromkeys(block.branches, 0), **kept}


def facts(model: Supernet, widths: Mapping[str, int]) -> dict[str, Any]:
    """What the drawn network costs, and how its widths lie.

    Args:
        model: The supernet; it is cut down.
        widths: Channels kept by unit.
    """
    space = SearchSpace(model, "hrnas")
    resize(model, space.units.values(), widths)
    kept = [width for width in widths.values() if width]
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    return {
        "macs": space.plain_graph(widths).macs,
        "weights": sum(layer.weight.numel() for layer in layers),
        "params": sum(parameter.numel() for parameter in model.parameters()),
        "blocks": len(space.blocks),
        "empty_blocks": sum(not any(widths[unit] for unit in units) for units in space.blocks.values()),
        "branches": len(kept),
        "not_multiples_of_8": sum(width % 8 > 0 for width in kept),
        "below_8": sum(width < 8 for width in kept),
    }


def arguments() -> argparse.Namespace:
    """The options of this benchmark."""
    parser = common.parser(__doc__)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="FILE", help="HR-NAS's checkpoint.json"
    )
    return parser.parse_args()


def main() -> None:
    """Reads the published widths and prints what the network costs."""
    options = arguments()
    model = supernet()
    result = facts(model, published_widths(options.checkpoint, model))
    rows = [
        ["multiply-accumulates", f"{result['macs'] / 1e6:.1f} M"],
        ["weights of convolutions and classifier", f"{result['weights'] / 1e6:.2f} M"],
        ["all parameters", f"{result['params'] / 1e6:.2f} M"],
        ["empty blocks", f"{result['empty_blocks']} of {result['blocks']}"],
        ["branches", str(result["branches"])],
        ["their widths no multiple of 8", str(result["not_multiples_of_8"])],
        ["their widths below 8", str(result["below_8"])],
    ]
    common.show(result, [Table("The published searched network", ("", "value"), rows)], options.json)


if __name__ == "__main__":
    common.run(main)
