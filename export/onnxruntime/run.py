#!/usr/bin/env python3
"""Classifies images with the network in this folder; needs numpy, onnxruntime and, for images, Pillow."""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main():
    """Reads the command line, prints the most likely classes of every image; returns the exit code."""
    options = arguments()
    try:
        network = Network(options.model, options.threads)
        if network.task != "classification":
            raise ValueError(f"this network is for {network.task}, see README.md")
        for image in options.images:
            show(image, network, network.scores(image), options)
    except (OSError, ValueError) as error:
        print("error: {}".format(" ".join(str(error).split())), file=sys.stderr)
        return 1
    return 0


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python3 run.py --top 3 photo.jpg")
    parser.add_argument("images", nargs="+", type=Path, help="image files, or .npy with values 0..255")
    parser.add_argument(
        "--model", type=Path, default=Path(__file__).parent, help="folder of model.onnx and model.json"
    )
    parser.add_argument("--top", type=int, default=1, help="how many classes to print")
    parser.add_argument("--runs", type=int, default=0, help="also time this many runs of each image")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


class Network:
    """The network and what its input must look like.

    Args:
        folder: Where model.onnx and model.json are.
        threads: CPU threads.
    """

    def __init__(self, folder, threads):
        description = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self.classes = description["classes"]
        self.task = description.get("task", "classification")
        self.preprocessing = description["preprocessing"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        path = folder / "model.onnx"
        if not path.is_file():
            raise OSError(f"there is no {path}")
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.input_name = self.session.get_inputs()[0].name

    def scores(self, image):
        """The probability of every class, (classes,), for an image file."""
        outputs = self.run(self.prepared(pixels_of(image, self.preprocessing)))
        exponents = np.exp(outputs - outputs.max())
        return exponents / exponents.sum()

    def prepared(self, pixels):
        """The network's input, float32 (1, C, H, W), from uint8 pixels (H, W, C)."""
        mean = np.asarray(self.preprocessing["mean"], dtype=np.float32)
        std = np.asarray(self.preprocessing["std"], dtype=np.float32)
        values = (pixels.astype(np.float32) / 255 - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1)[np.newaxis])

    def run(self, values):
        """The network's output, (classes,), before the softmax."""
        return self.session.run(None, {self.input_name: values})[0][0]


def pixels_of(path, preprocessing):
    """The image as uint8 (H, W, C) in the network's resolution and number of channels."""
    resolution, channels = preprocessing["resolution"], preprocessing["channels"]
    if path.suffix == ".npy":
        return checked(np.load(str(path), allow_pickle=False), resolution, channels, path)
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ValueError(f"Pillow is needed for {path}: python3 -m pip install pillow") from None
    with Image.open(str(path)) as image:
        mode = "L" if channels == 1 else "RGB"
        # As in training: the shorter side scaled to the resolution, the square in the middle cut out.
        square = ImageOps.fit(image.convert(mode), (resolution, resolution), Image.BILINEAR)
    return checked(np.asarray(square), resolution, channels, path)


def checked(pixels, resolution, channels, path):
    """The pixels with a channel axis, if they are what the network takes."""
    shaped = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    if shaped.shape != (resolution, resolution, channels):
        wanted = (resolution, resolution, channels)
        raise ValueError(f"{path} has the shape {pixels.shape}, the network takes {wanted}")
    if shaped.min() < 0 or shaped.max() > 255:
        raise ValueError(f"{path} has values outside 0..255")
    return shaped


def show(image, network, scores, options):
    """Prints the most likely classes, and the time if that was asked for."""
    order = np.argsort(-scores)[: options.top]
    best = ", ".join(f"{network.classes[index]} {100 * scores[index]:.1f} %" for index in order)
    print(f"{image}: {best}")
    if options.runs:
        times_ms = sorted(timed_ms(network, image, options.runs))
        middle, late = times_ms[len(times_ms) // 2], times_ms[int(len(times_ms) * 0.9)]
        print(f"{options.runs} runs: p50 {middle:.3f} ms, p90 {late:.3f} ms")


def timed_ms(network, image, runs):
    """The time of each of `runs` runs in ms, after 10 runs to warm up."""
    values = network.prepared(pixels_of(image, network.preprocessing))
    for _ in range(10):
        network.run(values)
    times_ms = []
    for _ in range(runs):
        begin = time.perf_counter()
        network.run(values)
        times_ms.append(1000 * (time.perf_counter() - begin))
    return times_ms


if __name__ == "__main__":
    sys.exit(main())
