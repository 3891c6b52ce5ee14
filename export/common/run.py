#!/usr/bin/env python3
"""Runs the network in this folder on images, on its samples to check it, or to time it; see README.md."""

import argparse
import hashlib
import importlib
import json
import sys
import time
from pathlib import Path

try:
    import numpy as np
except ImportError:
    sys.exit("error: numpy is needed: python3 -m pip install numpy")
from hwt_write import in_words
from network import Network
from pictures import write_array

FOLDER = Path(__file__).resolve().parent
WARMUP_RUNS = 20
WRONG_NUMBERS = 5
#: What model.json must say.
NEEDED = ("task", "classes", "preprocessing", "input", "output", "precision", "tolerance", "onnx_sha256")
AGAIN = "copy the bundle again"


def main():
    """Reads the command line and does what it says; returns the exit code."""
    try:
        description = read_description()
        task = task_of(description)
        options = arguments(task)
        require_own_network(description)
        network = Network(FOLDER, description, options.threads)
        if options.verb == "predict":
            return task.predict(network, description, options)
        return {"check": check, "benchmark": benchmark}[options.verb](network, description, options)
    except (OSError, ValueError) as error:
        return fail(error)


def fail(reason, code=1):
    """Prints one line; returns the exit code."""
    if isinstance(reason, OSError):
        reason = in_words(reason)
    print("error: {}".format(" ".join(str(reason).split())), file=sys.stderr)
    return code


def read_description():
    """What model.json says of the network."""
    path = FOLDER / "model.json"
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); {AGAIN}") from None
    lacking = [name for name in NEEDED if not isinstance(description, dict) or name not in description]
    if lacking:
        raise ValueError("{} is damaged (it lacks {}); {}".format(path, ", ".join(lacking), AGAIN))
    return {**description, "task": str(description["task"])}


def require_own_network(description):
    """Refuses a model.onnx that is not there, damaged, or another network's."""
    path = FOLDER / "model.onnx"
    if not path.is_file():
        raise ValueError(f"there is no {path}; where the bundle is packed: python unpack.py")
    if hashlib.sha256(path.read_bytes()).hexdigest() != description["onnx_sha256"]:
        raise ValueError(f"{path} is damaged, or not the network of model.json; {AGAIN}")


def task_of(description):
    """The module that reads images and outputs of this task; None where the bundle has none."""
    name = description["task"]
    return importlib.import_module(name) if (FOLDER / (name + ".py")).is_file() else None


def arguments(task):
    """The command line."""
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--threads", type=positive, default=1, help="CPU threads (default: 1)")
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python3 run.py benchmark --runs 500"
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    verbs.required = True
    if task:
        predict = verbs.add_parser("predict", parents=[shared], help=task.__doc__.splitlines()[0])
        predict.add_argument("images", nargs="+", type=Path, help="image files, or .npy; see README.md")
        task.add_options(predict)
    checked = verbs.add_parser(
        "check", parents=[shared], help="compare with PyTorch's outputs for the samples"
    )
    checked.add_argument("--output", type=Path, help="also write this device's outputs here, as .npy")
    timed = verbs.add_parser("benchmark", parents=[shared], help="time the network on a sample")
    timed.add_argument("--runs", type=positive, default=1000, help="timed runs (default: 1000)")
    timed.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def positive(text):
    """A whole number from 1 on; for argparse."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def sample(name, tensor):
    """One of the arrays that came with the network, (images, ...); `tensor` is what model.json says of it."""
    path = FOLDER / "samples" / (name + ".npy")
    try:
        values = np.load(str(path), allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {AGAIN}") from None
    if list(values.shape[1:]) != tensor["shape"][1:]:
        raise ValueError("{} has the shape {}, not {}; {}".format(path, values.shape, tensor["shape"], AGAIN))
    return values


def check(network, description, options):
    """Compares the outputs for the samples with those of PyTorch; the exit code is 5 if they differ."""
    inputs, expected = sample("inputs", description["input"]), sample("expected", description["output"])
    outputs = np.concatenate([network.run(one[np.newaxis]) for one in inputs])
    if options.output:
        write_array(options.output, outputs)
    difference = float(np.abs(expected.astype(np.float64) - outputs).max())
    share = difference / max(float(np.abs(expected).max()), 1e-12)
    same = decisions(expected, description["task"]) == decisions(outputs, description["task"])
    print(
        f"{len(inputs)} samples: max abs difference {difference:.3g} ({share:.3g} of the largest output), "
        f"same decisions {100 * same.mean():.2f} %"
    )
    # Not a number is not within the tolerance either.
    if not share <= description["tolerance"]:
        reason = (
            "the outputs differ from PyTorch's by more than {:g} of the largest one; export the ticket again"
        )
        return fail(reason.format(description["tolerance"]), WRONG_NUMBERS)
    return 0


def decisions(outputs, task):
    """What the outputs say: the largest class (of images or pixels), or the cell of every joint's peak."""
    if task == "keypoints":
        return outputs.reshape(outputs.shape[0], outputs.shape[1], -1).argmax(2)
    return outputs.argmax(min(1, outputs.ndim - 1))


def benchmark(network, description, options):
    """Times the first sample; prints the percentiles in ms."""
    values = sample("inputs", description["input"])[:1]
    begin_ns = time.perf_counter_ns()
    network.run(values)
    first_ms = (time.perf_counter_ns() - begin_ns) / 1e6
    run = network.bound(values)
    for _ in range(WARMUP_RUNS):
        run()
    # Other programs hardly disturb the thread's own time, but it only counts what this thread computes.
    clocks = {"wall": time.perf_counter_ns}
    if network.computes_in_caller:
        clocks["cpu"] = time.thread_time_ns
    times_ms = {name: [] for name in clocks}
    for _ in range(options.runs):
        begins_ns = [clock() for clock in clocks.values()]
        run()
        for name, begin_ns in zip(clocks, begins_ns):  # noqa: B905
            times_ms[name].append((clocks[name]() - begin_ns) / 1e6)
    show_times(network.runtime, first_ms, times_ms, options)
    return 0


def show_times(runtime, first_ms, times_ms, options):
    """Prints what `benchmark` found, for people or as JSON."""
    found = {
        name: {f"p{p}": float(np.percentile(values, p)) for p in (50, 90, 99)}
        for name, values in times_ms.items()
    }
    if options.json:
        head = {"runtime": runtime, "threads": options.threads, "runs": options.runs, "first_ms": first_ms}
        print(json.dumps({**head, **{name + "_ms": found[name] for name in found}}))
        return
    print(f"{runtime}, {options.threads} thread(s), {options.runs} runs; the first took {first_ms:.3f} ms")
    titles = {"wall": "wall clock", "cpu": "thread CPU time"}
    for name, percentiles in found.items():
        print(
            "{}: {}".format(
                titles[name], ", ".join("{} {:.4f} ms".format(*entry) for entry in percentiles.items())
            )
        )


if __name__ == "__main__":
    sys.exit(main())
