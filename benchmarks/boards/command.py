"""Predicts whole networks on every board that two folders of measurements share, and prints how well."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.boards.cases import Case
from benchmarks.boards.ncnn import ncnn_results
from benchmarks.boards.reading import Folders
from benchmarks.boards.scores import evaluate
from benchmarks.boards.spaces import SPACES
from benchmarks.boards.torchvision import torchvision_cases
from benchmarks.boards.transformers import transformer_cases
from benchmarks.common import Table, percent, show
from hwtickets.errors import UsageError

#: Boards whose single runs are worth a line; JSON has all of them.
_SHOWN_BOARDS = ("jetson", "raspberry-pi")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this part."""
    group = parser.add_argument_group(
        "whole networks on boards",
        "CSV files of measurements, as nb201_edge.csv, nb201_help.csv, fbnet_help.csv, ofa_mbv3_help.csv, "
        "hat_transformer.csv, ncnn_networks.csv and torch2trt_jetson.csv; what a side lacks is skipped. All "
        "errors are shares of the measured latency: 0.02 is 2 %.",
    )
    group.add_argument("--fit", type=Path, metavar="DIR", help="measurements to learn from")
    group.add_argument("--test", type=Path, metavar="DIR", help="measurements to predict, of other networks")
    group.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="where nb201_archs.csv, fbnet_archs.csv, ofa_mbv3_archs.csv and ncnn_layers.csv lie, if neither "
        "beside the measurements nor in the folder above (default: $HWTICKETS_DATA)",
    )


def run(options: argparse.Namespace) -> None:
    """Prints a table, or with --json one object a line."""
    if options.fit is None or options.test is None:
        raise UsageError("--fit and --test belong together; give both folders")
    folders = Folders.of(options.fit, options.test, options.data)
    if options.json:
        anything = False
        for result in results(folders):
            print(json.dumps(result, allow_nan=False), flush=True)
            anything = True
        _tell(folders.notes, anything)
        return
    shown = list(results(folders))
    _tell(folders.notes, bool(shown))
    show({}, [_table(shown)], as_json=False)


def results(folders: Folders) -> Iterator[dict[str, Any]]:
    """Scores of one device after the other."""
    for space in SPACES:
        yield from _evaluated(space.cases(folders), folders)
    yield from _evaluated(transformer_cases(folders), folders)
    yield from _evaluated(torchvision_cases(folders), folders)
    yield from ncnn_results(folders)


def _evaluated(cases: Iterable[Case], folders: Folders) -> Iterator[dict[str, Any]]:
    for case in cases:
        if len(case.fit_ms) and len(case.test_ms):
            yield evaluate(case)
        else:
            folders.notes.append(f"{case.device}: skipped, one side has no measurement of it")


def _tell(notes: list[str], anything: bool) -> None:
    for note in dict.fromkeys(notes):
        print(f"note: {note}", file=sys.stderr)
    if not anything:
        raise UsageError("there is nothing to predict: the folders share no file of measurements")


def _table(shown: list[dict[str, Any]]) -> Table:
    rows = [
        [
            result["device"],
            str(result["n"]),
            percent(result["mean_error"]),
            percent(result["median_error"]),
            percent(result["within_5"], 0),
            percent(result["within_10"], 0),
            "-" if result["kendall_tau"] is None else f"{result['kendall_tau']:.3f}",
            percent(result["macs_mean_error"]),
            percent(result["additive_mean_error"]),
            percent(result["noise_floor"]) if result["noise_floor"] is not None else "?",
            percent(result["expected_error"]),
            percent(result["inside_expected"], 0),
            result["remark"],
        ]
        for result in shown
        if _is_shown(result["device"])
    ]
    columns = (
        "device",
        "networks",
        "mean error",
        "median",
        "within 5 %",
        "within 10 %",
        "tau",
        "MACs, mean",
        "additive, mean",
        "noise",
        "expected",
        "inside",
        "remark",
    )
    return Table("Predicted against measured latency of networks that were kept back", columns, rows)


def _is_shown(device: str) -> bool:
    file, _, name = device.partition("/")
    return file != "ncnn_networks" or name.startswith("all") or any(board in name for board in _SHOWN_BOARDS)
