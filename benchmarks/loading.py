"""What it costs to load training batches: images a second, as training asks for them, without a network.

"alone" loads a batch when it is asked for, "ahead" by the threads that feed a GPU. The photographs are made
up: JPEG files of 500x375 pixels, decoded for every batch at the resolution of ImageNet training. CIFAR-10 is
measured where --data (or $HWTICKETS_DATA) holds it. A network that trains faster than "ahead" waits for its
images.

python -m benchmarks.loading --output results/loading.jsonl
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import common
from benchmarks.common import Points, Table
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.classification import Classification
from hwtickets.tasks.dataset import Dataset
from hwtickets.tasks.settings import SMALLEST_CROP
from hwtickets.tasks.splits import FileSplit
from hwtickets.tasks.task import Lessons
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.compute import Compute
from hwtickets.training.feed import AHEAD, Feed, loading_threads

#: Size of the made-up photographs in pixels (the median of ImageNet), how many there are, their resolution.
WIDTH, HEIGHT, FILES, RESOLUTION = 500, 375, 256, 224
#: Batches before time is taken.
WARMUP = 2 * AHEAD
#: Folders that CIFAR-10 is known by.
CIFAR10 = ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10-jpeg")


def photographs(folder: Path, batch_size: int) -> Lessons:
    """Classification of generated JPEG files, which are decoded when they are asked for."""
    paths = [folder / f"{number}.jpg" for number in range(FILES)]
    generator = np.random.default_rng(0)
    for path in paths:
        # Smooth shapes and some grain: about as many bytes as a photograph of this size.
        coarse = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        grain = generator.normal(0, 8, (HEIGHT, WIDTH, 3))
        smooth = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        Image.fromarray((smooth + grain).clip(0, 255).astype(np.uint8)).save(path, quality=90)
    split = FileSplit(paths, torch.arange(FILES) % 10, RESOLUTION, 3, SMALLEST_CROP)
    half = torch.full((3,), 0.5)
    names = [str(label) for label in range(10)]
    dataset = Dataset("photographs", split, split, split, names, half, half / 2, 3, RESOLUTION)
    return Classification(dataset, batch_size)


def by_name(data: str, batch_size: int) -> Lessons:
    """Classification of a data set."""
    return build_task("classification", TaskSettings(data, None, batch_size))


def rate(lessons: Lessons, ahead: int, batches: int) -> float:
    """Images a second over many batches in a row."""
    feed = Feed(lessons, _accelerator(), ahead)
    # The first batches also open files and start threads. As many wait in the end.
    for step in range(WARMUP):
        feed.batch(step, 0)
    begin = time.perf_counter()
    images = sum(len(feed.batch(WARMUP + step, 0)[0]) for step in range(batches))
    seconds = time.perf_counter() - begin
    feed.close()
    return images / seconds


def _accelerator() -> Accelerator:
    return Accelerator(Compute("cpu"))


def point(make: Callable[[], Lessons], batches: int) -> dict[str, Any]:
    """Rates of one data set."""
    lessons = make()
    x, _ = lessons.train_batch(0)
    return {
        "input": list(x.shape[1:]),
        "alone": rate(lessons, 0, batches),
        "ahead": rate(lessons, AHEAD, batches),
    }


def sources(data: Path | None, folder: Path, batch_size: int) -> dict[str, Callable[[], Lessons]]:
    """What is measured, by name."""
    found: dict[str, Callable[[], Lessons]] = {
        "fashion-mnist-small": partial(by_name, "fashion-mnist-small", batch_size),
        "photographs": partial(photographs, folder, batch_size),
    }
    for name in CIFAR10:
        if data is not None and (data / name).is_dir():
            found["cifar10"] = partial(by_name, f"cifar10:{data / name}", batch_size)
    return found


def main() -> None:
    """Runs the benchmark."""
    made = common.parser(__doc__)
    default = os.environ.get("HWTICKETS_DATA")
    made.add_argument("--data", type=Path, default=default and Path(default), metavar="DIR", help="data sets")
    made.add_argument("--batch-size", type=int, default=64, metavar="N", help="images a batch (default: 64)")
    made.add_argument("--batches", type=int, default=24, metavar="N", help="batches in a row (default: 24)")
    given = made.parse_args()
    threads = loading_threads(_accelerator())
    settings = {"batch_size": given.batch_size, "batches": given.batches, "threads": threads, "ahead": AHEAD}
    points = Points("loading", given.output, settings)
    with TemporaryDirectory() as folder:
        found = sources(given.data, Path(folder), given.batch_size)
        results = {
            name: points.once({"data": name}, partial(point, make, given.batches))
            for name, make in found.items()
        }
    rows = [
        [name, "x".join(map(str, result["input"])), f"{result['alone']:,.0f}", f"{result['ahead']:,.0f}"]
        for name, result in results.items()
    ]
    title = f"Images a second in batches of {given.batch_size}, ahead: {threads} threads"
    common.show({"points": results}, [Table(title, ["data", "input", "alone", "ahead"], rows)], given.json)


if __name__ == "__main__":
    common.run(main)
