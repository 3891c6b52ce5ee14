"""The runners of a bundle against hwtickets: the same outputs, and the same time?

For every bundle, the runner in C++ is built and both runners compute its samples. Then rounds: in each,
`hwtickets benchmark` times the network twice and each runner once, every time in a new process, in turning
order. How far the package's second time is from its first, from round to round, is the noise that the runners
are to be within.

python -m benchmarks.runners runs/demo/bundle runs/scenes/bundle --ort /path/to/onnxruntime-linux-x64-1.22.0
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import common
from benchmarks.common import Points, Table, microseconds, ratio_text
from hwtickets.deploy.bundle import Bundle, read_bundle
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import HwticketsError

#: What is timed in a round; the first is what the others are compared with.
FIRST, AGAIN, PYTHON, CPP = "hwtickets", "hwtickets again", "run.py", "cpp/runner"
_COMMAND = [sys.executable, "-c", "from hwtickets.cli.main import main; main()"]


def main() -> None:
    """Prints the differences of outputs and the ratios of times, one line a bundle and program."""
    parser = common.parser(__doc__)
    parser.add_argument("bundles", nargs="+", type=Path, help="folders of bundles for ONNX Runtime")
    parser.add_argument("--ort", type=Path, help="unpacked release archive of ONNX Runtime, for its headers")
    parser.add_argument("--rounds", type=int, default=20, help="how often each is timed")
    parser.add_argument("--runs", type=int, default=500, help="timed runs a round")
    options = parser.parse_args()
    results = [
        Points("runners", options.output, {"runs": options.runs, "rounds": options.rounds}).once(
            {"bundle": str(bundle), "ticket": read_bundle(bundle).facts["ticket"]},
            partial(compare, bundle, options.ort, options.rounds, options.runs),
        )
        for bundle in options.bundles
    ]
    common.show({"bundles": results}, [_outputs(results), _times(results)], options.json)


def compare(folder: Path, ort: Path | None, rounds: int, runs: int) -> dict[str, Any]:
    """Outputs and times of the three.

    Args:
        folder: Of the bundle.
        ort: Where the headers of ONNX Runtime are; None for where CMake finds them.
        rounds: How often each is timed.
        runs: Timed runs a round.

    Raises:
        HwticketsError: A runner cannot be built or run.
    """
    bundle = read_bundle(folder)
    with tempfile.TemporaryDirectory() as scratch:
        place = shutil.copytree(folder, Path(scratch) / "bundle", ignore=shutil.ignore_patterns("build"))
        runners = {PYTHON: [sys.executable, str(place / "run.py")], CPP: built(place, ort)}
        after = {PYTHON: [], CPP: [str(place)]}
        outputs = {FIRST: _computed(bundle)}
        for name, program in runners.items():
            # Paths of outputs are kept apart from the bundle.
            path = Path(scratch) / f"{len(outputs)}.npy"
            _run([*program, "check", *after[name], "--output", str(path)])
            outputs[name] = np.load(path)
        how = ["--runs", str(runs), "--json"]
        measures: dict[str, Callable[[], float]] = {
            name: partial(_timed, [*program, "benchmark", *after[name], *how], "cpu_ms")
            for name, program in runners.items()
        }
        package = partial(_timed, [*_COMMAND, "benchmark", str(place), *how], "latency_ms")
        times_ms = _rounds({FIRST: package, **measures, AGAIN: package}, rounds)
    largest = float(np.abs(outputs[FIRST]).max())
    apart = {name: float(np.abs(values - outputs[FIRST]).max()) for name, values in outputs.items()}
    return {
        "bundle": str(folder),
        "task": bundle.facts["task"],
        "largest_output": largest,
        "largest_difference": {name: apart[name] for name in runners},
        "between_runners": float(np.abs(outputs[PYTHON] - outputs[CPP]).max()),
        "p50_ms": {name: float(np.median(values)) for name, values in times_ms.items()},
        "ratio": {
            name: _ratio(values, times_ms[FIRST]) for name, values in times_ms.items() if name != FIRST
        },
    }


def built(bundle: Path, ort: Path | None) -> list[str]:
    """Builds the runner in C++ of a bundle; how it is called.

    Raises:
        HwticketsError: CMake, a compiler or ONNX Runtime's headers are missing.
    """
    root = [f"-DONNXRUNTIME_ROOT={ort.resolve()}"] if ort else []
    python = [f"-DPYTHON3={sys.executable}"]
    _run(["cmake", "-S", str(bundle / "cpp"), "-B", str(bundle / "cpp" / "build"), *root, *python])
    _run(["cmake", "--build", str(bundle / "cpp" / "build")])
    return [str(bundle / "cpp" / "build" / "runner")]


def _computed(bundle: Bundle) -> Any:
    inputs = [{"x": image[None]} for image in bundle.samples.inputs]
    with open_bench(get_device("cpu")) as bench:
        return np.concatenate([output[0] for output in bench.run(bundle.model_path, inputs)])


def _timed(command: list[str], key: str) -> float:
    """The median of the thread's CPU time, which a program prints."""
    return float(json.loads(_run(command))[key]["p50"])


def _rounds(measures: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Times of every measure, one a round; each comes first, second, ... equally often."""
    times_ms: dict[str, list[float]] = {name: [] for name in measures}
    names = list(measures)
    for index in range(rounds):
        start = index % len(names)
        for name in names[start:] + names[:start]:
            times_ms[name].append(measures[name]())
    return times_ms


def _ratio(values: list[float], reference: list[float]) -> dict[str, float]:
    """Median of the rounds' ratios, and between what four of five of them lie."""
    low, median, high = np.percentile(np.array(values) / np.array(reference), [10, 50, 90])
    return {"median": float(median), "low": float(low), "high": float(high)}


def _run(command: list[str]) -> str:
    """What a program prints; if it fails, what it says last is the error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise HwticketsError(f"{command[0]} is not installed") from error
    if done.returncode:
        reason = " ".join((done.stderr or done.stdout).split())
        raise HwticketsError(f"{Path(command[0]).name} failed: {reason}")
    return done.stdout


def _outputs(results: list[dict[str, Any]]) -> Table:
    rows = [
        [
            result["bundle"],
            result["task"],
            f"{result['largest_output']:.3g}",
            *(f"{result['largest_difference'][name]:.2g}" for name in (PYTHON, CPP)),
            f"{result['between_runners']:.2g}",
        ]
        for result in results
    ]
    title = "Largest difference of an output from the one that hwtickets computes"
    return Table(title, ["bundle", "task", "largest output", PYTHON, CPP, "between both"], rows)


def _times(results: list[dict[str, Any]]) -> Table:
    rows = [
        [
            result["bundle"],
            microseconds(result["p50_ms"][FIRST]),
            *(ratio_text(result["ratio"][name]) for name in (AGAIN, PYTHON, CPP)),
        ]
        for result in results
    ]
    title = "Thread CPU time, median of the rounds' medians; ratio to it by rounds: median (10-90 %)"
    return Table(title, ["bundle", FIRST, AGAIN, PYTHON, CPP], rows)


if __name__ == "__main__":
    common.run(main)
