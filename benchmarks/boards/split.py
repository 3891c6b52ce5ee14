"""Splits a folder of measurements into one to learn from and one to predict, so that no network is in both.

What is kept back are whole groups of alike networks: cells of NAS-Bench-201 with the same function, indices
of the other spaces for all devices at once, networks of torchvision for all boards, and in ncnn a network
with its quantised twin on one device, however it is run there. Descriptions of networks are copied to the
side to learn from.

python -m benchmarks.boards.split measured/networks split --seed 1
python -m benchmarks.prediction --fit split/fit --test split/test
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from benchmarks import common
from benchmarks.boards.reading import Folders, Row, read_rows
from hwtickets import files
from hwtickets.prediction.folds import held_out

_DESCRIPTIONS = ("nb201_archs.csv", "fbnet_archs.csv", "ofa_mbv3_archs.csv", "ncnn_layers.csv")
_FILES = {
    "nb201_edge.csv": "arch_idx",
    "nb201_help.csv": "arch_idx",
    "fbnet_help.csv": "net_idx",
    "ofa_mbv3_help.csv": "net_idx",
    "hat_transformer.csv": "row",
    "ncnn_networks.csv": "network",
    "torch2trt_jetson.csv": "torchvision_model",
}


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("measured", type=Path, help="folder of measurements")
    parser.add_argument("target", type=Path, help="where fit/ and test/ are written")
    parser.add_argument("--share", type=float, default=0.3, help="of the groups to keep back (default: 0.3)")
    parser.add_argument("--seed", type=int, default=0, help="which groups (default: 0)")
    return parser.parse_args()


def main() -> None:
    """Writes both sides."""
    options = arguments()
    folders = Folders.of(options.measured, options.measured, None)
    for name in _DESCRIPTIONS:
        rows = folders.description(name, [], name)
        if rows:
            _write(options.target / "fit" / name, rows)
    functions = _functions(folders)
    for name, key in _FILES.items():
        if (options.measured / name).is_file():
            rows = read_rows(options.measured / name, [key])
            kept_back = held_out(
                [_group(name, row, key, functions) for row in rows], options.share, options.seed
            )
            for side, wanted in (("fit", False), ("test", True)):
                chosen = [row for row, held in zip(rows, kept_back, strict=True) if held == wanted]
                _write(options.target / side / name, chosen)


def _functions(folders: Folders) -> dict[str, str]:
    """What each cell of NAS-Bench-201 computes, by its index."""
    rows = folders.description("nb201_archs.csv", ["arch_idx", "iso_group"], "nb201_archs.csv") or []
    return {row.text("arch_idx"): row.text("iso_group") for row in rows}


def _group(name: str, row: Row, key: str, functions: dict[str, str]) -> tuple[str, str, str]:
    """What a row is kept back with: the space, the device where it matters, the network."""
    space = name.partition("_")[0]
    if space == "nb201":
        return space, "", functions[row.text(key)]
    if space == "ncnn":
        return space, row.text("device"), row.text(key).removesuffix("_int8")
    return space, "", row.text(key)


def _write(file: Path, rows: Sequence[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0].cells) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.cells for row in rows)
    files.write_text(file, text.getvalue())


if __name__ == "__main__":
    common.run(main)
