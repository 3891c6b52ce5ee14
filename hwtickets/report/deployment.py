"""Deployed networks that were measured on their own: what `benchmark` and `verify` left in a run's folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hwtickets.errors import HwticketsError
from hwtickets.files import read_json
from hwtickets.report.schema_parts import Amount, Count, Latency, Number, Part, Ratio, Text

#: Files that a benchmark leaves: every figure, and the page of its layers.
TIMES, PAGE = "times.json", "layers.html"
#: Folder of a run whose subfolders `benchmark --output-dir` may fill.
FOLDER = "benchmarks"
#: What `benchmark` and `verify` must say alike for their figures to be of one network on one device.
_IDENTITY = ("ticket", "onnx_sha256", "device", "runtime", "precision")


class Deployment(Part):
    """A bundle on a device; `page` leads to its layers, `score` is of validation images on that device.

    `unscored` is why there is no score although `verify` was run.
    """

    name: Text
    device: Text
    runtime: Text
    precision: Text
    latency_ms: Latency
    ratio: Ratio | None = None
    throughput_per_s: Amount | None = None
    score: Number | None = None
    unscored: str = ""
    score_of_pytorch: Number | None = None
    images: Count | None = None
    size_bytes: Count | None = None
    energy_mj: Amount | None = None
    peak_bytes: Count | None = None
    page: str = ""


def deployments_of(run: Path, page_folder: Path) -> list[dict[str, Any]]:
    """What was measured of a run's bundles, by the names of the folders.

    Args:
        run: The run folder.
        page_folder: Where the report will lie; links lead from there.

    Raises:
        HwticketsError: A file is damaged, or no benchmark.
    """
    return [_read(path, page_folder) for path in sorted((run / FOLDER).glob(f"*/{TIMES}"))]


def with_deployments(
    run: Path, page_folder: Path, reports: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The reports of a run; the first, its own, gets what `deployments_of` finds."""
    found = deployments_of(run, page_folder)
    own, *others = map(dict, reports)
    return [{**own, **({"deployments": found} if found else {})}, *others]


def _read(path: Path, page_folder: Path) -> dict[str, Any]:
    record = read_json(path, "benchmark")
    checked = path.with_name("verify.json")
    verified = read_json(checked, "verification") if checked.exists() else None
    try:
        page = os.path.relpath(path.with_name(PAGE), page_folder)
        score = {} if verified is None else _verified(verified, [record[key] for key in _IDENTITY])
        values = {**_measured(record), **score, "name": path.parent.name, "page": page}
        return Deployment.model_validate(values).model_dump(mode="json")
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise HwticketsError(
            f"{path} is not a benchmark of this version; measure again: hwtickets benchmark BUNDLE"
            f" --output-dir {path.parent}"
        ) from error


def _measured(record: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a benchmark; what was not available is no figure."""
    energy, first = record["energy"], record["first_run"]
    return {
        **{key: record[key] for key in ("device", "runtime", "precision", "latency_ms", "size_bytes")},
        "ratio": record.get("ratio"),
        "throughput_per_s": record["throughput_per_s"],
        "energy_mj": None if isinstance(energy, str) else energy["total_mj"],
        "peak_bytes": None if isinstance(first, str) else first["peak_bytes"],
    }


def _verified(record: Mapping[str, Any], identity: Sequence[str]) -> dict[str, Any]:
    """The figures of a verification of the network that was timed; why there are none, of any other."""
    if [record.get(key) for key in _IDENTITY] != identity:
        return {"unscored": "verify.json is of another network or device; verify this one"}
    if not record["passed"]:
        return {"unscored": "verification failed: outputs differ from PyTorch"}
    names = {"score": "score_on_samples", "score_of_pytorch": "score_of_pytorch", "images": "images"}
    return {own: record.get(name) for own, name in names.items()}
