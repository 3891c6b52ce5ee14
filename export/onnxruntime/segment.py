#!/usr/bin/env python3
"""Segments images with the network in this folder; needs numpy, onnxruntime and Pillow."""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from run import Network


def main():
    """Reads the command line, writes the class of every pixel of every image; returns the exit code."""
    options = arguments()
    try:
        network = Network(options.model, options.threads)
        if network.task != "segmentation":
            raise ValueError(f"this network is for {network.task}, see README.md")
        for image in options.images:
            classes = segmented(image, network)
            path = image.with_name(image.stem + ".classes.png")
            Image.fromarray(classes).save(str(path))
            print(f"{image}: {shares(classes, network.classes)} -> {path}")
    except (OSError, ValueError) as error:
        print("error: {}".format(" ".join(str(error).split())), file=sys.stderr)
        return 1
    return 0


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python3 segment.py photo.jpg")
    parser.add_argument("images", nargs="+", type=Path, help="image files")
    parser.add_argument(
        "--model", type=Path, default=Path(__file__).parent, help="folder of model.onnx and model.json"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    return parser.parse_args()


def segmented(path, network):
    """The class of every pixel of an image file, uint8 (H, W) in the size of the image."""
    height, width = network.preprocessing["resolution"]
    mode = "L" if network.preprocessing["channels"] == 1 else "RGB"
    with Image.open(str(path)) as opened:
        image = opened.convert(mode)
    # As in training: the whole image scaled until it fits, the rest filled with the mean colour.
    scale = min(height / image.height, width / image.width)
    drawn = min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale)))
    colour = tuple(round(255 * value) for value in network.preprocessing["mean"])
    canvas = Image.new(mode, (width, height), colour if mode == "RGB" else colour[0])
    canvas.paste(image.resize(drawn, Image.BILINEAR), (0, 0))
    logits = network.run(network.prepared(np.asarray(canvas).reshape(height, width, -1)))
    enlarged = [np.asarray(Image.fromarray(one).resize((width, height), Image.BILINEAR)) for one in logits]
    classes = np.argmax(enlarged, axis=0).astype(np.uint8)[: drawn[1], : drawn[0]]
    return np.asarray(Image.fromarray(classes).resize(image.size, Image.NEAREST))


def shares(classes, names):
    """What the image shows, the largest first, as text."""
    counts = np.bincount(classes.ravel(), minlength=len(names))
    shown = [index for index in np.argsort(-counts) if counts[index]]
    return ", ".join(f"{names[index]} {100 * counts[index] / classes.size:.1f} %" for index in shown)


if __name__ == "__main__":
    sys.exit(main())
