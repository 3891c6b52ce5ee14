"""Print the most likely classes of images."""

import numpy as np
from pictures import array_of, is_array, opened, prepared, size_of


def add_options(parser):
    """Options of this task."""
    parser.add_argument("--top", type=int, default=1, help="how many classes to print (default: 1)")


def predict(network, description, options):
    """Prints the most likely classes of every image; returns the exit code."""
    for path in options.images:
        scores = softmax(
            network.run(
                prepared(pixels_of(path, description["preprocessing"]), description["preprocessing"])
            )[0]
        )
        order = np.argsort(-scores, kind="stable")[: options.top]
        best = ("{} {:.1f} %".format(description["classes"][index], 100 * scores[index]) for index in order)
        print("{}: {}".format(path, ", ".join(best)))
    return 0


def pixels_of(path, preprocessing):
    """The image in the network's resolution, as in training: the square in the middle, scaled."""
    if is_array(path):
        return array_of(path, preprocessing)
    image = opened(path, preprocessing["channels"])
    from PIL import Image, ImageOps

    height, width = size_of(preprocessing)
    # The share of the shorter side that the network was scored on; bundles of before have none.
    edge = (1 - preprocessing.get("crop_share", 1)) / 2
    return ImageOps.fit(image, (width, height), Image.BILINEAR, bleed=edge)


def softmax(outputs):
    """The probability of every class."""
    exponents = np.exp(outputs - outputs.max())
    return exponents / exponents.sum()
