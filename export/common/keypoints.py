"""Print the joints of one person an image, found in a box around the person."""

import numpy as np
from pictures import array_of, is_array, opened, prepared, size_of

#: In heatmap cells: a joint lies this much off the middle of the highest cell, towards its higher neighbour.
SHIFT = 0.25


def add_options(parser):
    """Options of this task."""
    parser.add_argument(
        "--box",
        type=box_of,
        metavar="LEFT,TOP,WIDTH,HEIGHT",
        help="where the person is, in pixels (default: the whole image)",
    )


def box_of(text):
    """Four numbers of a box; for argparse."""
    left, top, width, height = (float(part) for part in text.split(","))
    if not (width > 0 and height > 0):
        raise ValueError
    return left, top, width, height


def predict(network, description, options):
    """Prints place (x, y in pixels of the image) and height of the peak of every joint; the exit code."""
    for path in options.images:
        joints = found(path, options.box, network, description["preprocessing"])
        shown = (
            "{} {:.1f},{:.1f} ({:.2f})".format(name, *joint)
            for name, joint in zip(description["classes"], joints)  # noqa: B905
        )
        print("{}: {}".format(path, ", ".join(shown)))
    return 0


def found(path, box, network, preprocessing):
    """Every joint's x and y in pixels of the image, and the height of its peak, (K, 3)."""
    stride = preprocessing["output_stride"]
    if is_array(path):
        return joints_of(network.run(prepared(array_of(path, preprocessing), preprocessing))[0], stride)
    image = opened(path, preprocessing["channels"])
    pixels, step, corner = crop(image, box or (0, 0, image.width, image.height), preprocessing)
    joints = joints_of(network.run(prepared(pixels, preprocessing))[0], stride)
    joints[:, :2] = joints[:, :2] * step + corner
    return joints


def crop(image, box, preprocessing):
    """The box, padded and widened to the input's shape as in training, cut out and scaled.

    Returns:
        The crop, image pixels a crop pixel, and the place in the image of the crop's pixel (0, 0).
    """
    from PIL import Image

    height, width = size_of(preprocessing)
    left, top, box_width, box_height = box
    step = preprocessing["box_padding"] * max(box_width / width, box_height / height)
    # A box counts from the pixels' edges, which are half a pixel before their centres.
    middle = np.array([left + box_width / 2 - 0.5, top + box_height / 2 - 0.5])
    corner = middle - step * np.array([(width - 1) / 2, (height - 1) / 2])
    # So does Pillow.
    edge = corner + 0.5 - step / 2
    coefficients = (step, 0, edge[0], 0, step, edge[1])
    return image.transform((width, height), Image.AFFINE, coefficients, Image.BILINEAR), step, corner


def joints_of(heatmaps, stride):
    """Every joint's x and y in input pixels and the height of its peak, (K, 3), from heatmaps (K, h, w).

    The highest cell, moved towards its higher neighbour on each axis; on the border it stays. Which is how
    the ticket was scored, but without the mirror image.
    """
    joints = np.empty((len(heatmaps), 3))
    for joint, heatmap in zip(joints, heatmaps):  # noqa: B905
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        x = column + shift(heatmap[row], column)
        y = row + shift(heatmap[:, column], row)
        joint[:] = (x + 0.5) * stride - 0.5, (y + 0.5) * stride - 0.5, heatmap[row, column]
    return joints


def shift(heights, place):
    """How far a peak lies off the middle of its cell, in cells."""
    if place in (0, len(heights) - 1):
        return 0.0
    return SHIFT * float(np.sign(heights[place + 1] - heights[place - 1]))
