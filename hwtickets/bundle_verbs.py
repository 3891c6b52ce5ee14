"""The verbs that work on a bundle: whether it computes the same on a device, and what it costs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.cli.printing import plain
from hwtickets.deploy.benchmarking import Plan, take_measurements
from hwtickets.deploy.bundle import Bundle, read_bundle
from hwtickets.deploy.check import score_of_pytorch, verify_bundle, why_it_differs
from hwtickets.deploy.engine import use_engine
from hwtickets.deploy.precision import Fp32
from hwtickets.deploy.references import on_validation_images, ticket_of
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.recipes.retrain import task_of
from hwtickets.report.layer_files import write_benchmark


def verify(
    bundle: Path, device: str, images: int, ticket: Path | None = None, output_dir: Path | None = None
) -> dict[str, Any]:
    """Compares a bundle on a device with PyTorch, on real validation images.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        images: How many images.
        ticket: Folder of its ticket: images are taken from its validation data, not the bundle's samples.
        output_dir: Gets `verify.json`, if given.

    Returns:
        The errors, what both networks decide alike, and the task's score on these images: `score_on_samples`
        of the deployed network, `score_of_pytorch`.

    Raises:
        NumericsError: The outputs differ by more than the precision explains, which `verify.json` says too;
            names the operator that is the first to differ.
    """
    opened, profile = read_bundle(bundle), get_device(device)
    if ticket is not None:
        loaded = ticket_of(opened, ticket)
        opened = on_validation_images(opened, loaded, task_of(loaded), images)
    with open_bench(profile, _precision(opened, profile)) as bench:
        use_engine(opened.folder, bench)
        numerics, score = verify_bundle(opened, bench, images)
        result = {
            **_place(opened, profile, bench.fingerprint),
            **numerics.as_dict(),
            "score_on_samples": score,
            "score_of_pytorch": score_of_pytorch(opened, images),
        }
        if output_dir is not None:
            record = {**_identity(opened), "passed": numerics.ok, **plain(result)}
            files.write_json(output_dir / "verify.json", record)
        cause = "" if numerics.ok else why_it_differs(opened, bench, numerics, ticket)
    numerics.require_ok(opened.model_path, cause)
    return result


def benchmark(
    bundle: Path,
    device: str,
    runs: int,
    dense: Path | None,
    batches: Sequence[int] = (),
    builds: int = 1,
    output_dir: Path | None = None,
) -> dict[str, Any]:
    """Measures a bundle on a device.

    Args:
        bundle: Folder of the bundle.
        device: Name of the device.
        runs: Timed runs.
        dense: Another bundle (the dense network) to be timed interleaved with it.
        batches: Images at once whose throughput is measured too.
        builds: How often the network is built, and each build timed.
        output_dir: Gets `layers.html`, `layers.csv` and `times.json`, if given.

    Returns:
        Percentiles in ms, the ratio to `dense` with its 95 % interval, throughput, first run, energy, clocks,
        the time of every block; what the device does not offer says why. `layers_html` is the page.
    """
    opened, profile = read_bundle(bundle), get_device(device)
    plan = Plan(opened, profile, runs, read_bundle(dense) if dense else None, batches, builds)
    with open_bench(profile, _precision(opened, profile)) as bench:
        use_engine(opened.folder, bench)
        found = take_measurements(plan, bench)
        fingerprint = dict(bench.fingerprint)
    result: dict[str, Any] = {
        **_place(opened, profile, fingerprint),
        "size_bytes": opened.model_path.stat().st_size,
        **found.summary,
    }
    if output_dir is None:
        return result
    record = {
        "schema": 1,
        "name": f"{bundle.resolve().parent.name}/{bundle.resolve().name}",
        **_identity(opened),
        "fingerprint": fingerprint,
        **result,
        "samples_ms": found.samples_ms,
        "layers": {name: [layer.as_dict() for layer in own] for name, own in found.layers.items()},
    }
    return {**result, "layers_html": write_benchmark(output_dir, record)}


def _identity(bundle: Bundle) -> dict[str, str]:
    """Which network figures are of: with `_place`, what the report holds together."""
    return {key: bundle.facts[key] for key in ("ticket", "onnx_sha256")}


def _place(bundle: Bundle, device: DeviceProfile, fingerprint: Mapping[str, str]) -> dict[str, str]:
    """Where a network runs; its precision is the graph's, or what the device builds from a graph in fp32."""
    own: str = bundle.facts["precision"]
    precision = fingerprint["precision"] if own == Fp32.name else own
    return {"device": device.name, "runtime": device.runtime, "precision": precision}


def _precision(bundle: Bundle, device: DeviceProfile) -> str:
    """What a bundle is run at: its own precision, or what the device builds from it."""
    own: str = bundle.facts["precision"]
    return own if own in device.precisions else device.precisions[0]
