"""Write the class of every pixel of images."""

import numpy as np
from pictures import array_of, is_array, opened, prepared, size_of, write_array, write_picture


def add_options(parser):
    """Options of this task: none."""


def predict(network, description, options):
    """Writes the classes of every image beside it and prints their shares; returns the exit code."""
    for path in options.images:
        classes = segmented(path, network, description["preprocessing"])
        written = saved(classes, path)
        print("{}: {} -> {}".format(path, shares(classes, description["classes"]), written))
    return 0


def segmented(path, network, preprocessing):
    """The class of every pixel of an image, uint8 (H, W) in the size of the image."""
    if is_array(path):
        return classes_of(
            network.run(prepared(array_of(path, preprocessing), preprocessing))[0], preprocessing
        )
    image = opened(path, preprocessing["channels"])
    canvas, drawn = inside(image, preprocessing)
    classes = classes_of(network.run(prepared(canvas, preprocessing))[0], preprocessing)
    return nearest(classes[: drawn[1], : drawn[0]], image.height, image.width)


def inside(image, preprocessing):
    """The whole image scaled until it fits, the rest in the mean colour; and its width and height."""
    from PIL import Image

    height, width = size_of(preprocessing)
    scale = min(height / image.height, width / image.width)
    drawn = min(width, max(1, round(image.width * scale))), min(height, max(1, round(image.height * scale)))
    colour = tuple(round(255 * value) for value in preprocessing["mean"])
    canvas = Image.new(image.mode, (width, height), colour if image.mode == "RGB" else colour[0])
    canvas.paste(image.resize(drawn, Image.BILINEAR), (0, 0))
    return canvas, drawn


def classes_of(logits, preprocessing):
    """The largest class of every input pixel, uint8 (H, W), from logits (classes, h, w)."""
    height, width = size_of(preprocessing)
    return enlarged(enlarged(logits, height, 1), width, 2).argmax(0).astype(np.uint8)


def enlarged(values, length, axis):
    """Values stretched linearly along an axis; pixels are squares, and the border goes on as it is."""
    count = values.shape[axis]
    places = np.clip((np.arange(length) + 0.5) * count / length - 0.5, 0, count - 1)
    before = np.floor(places).astype(int)
    weights = (
        (places - before).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(values.ndim)])
    )
    after = np.minimum(before + 1, count - 1)
    return values.take(before, axis) * (1 - weights) + values.take(after, axis) * weights


def nearest(classes, height, width):
    """The classes (h, w) in another size, each pixel that of the nearest one."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new)
        for new, old in zip((height, width), classes.shape)  # noqa: B905
    )
    return classes[rows[:, np.newaxis], columns]


def saved(classes, path):
    """Writes the classes beside the image; returns where."""
    if is_array(path):
        written = path.with_name(path.stem + ".classes.npy")
        write_array(written, classes)
        return written
    written = path.with_name(path.stem + ".classes.png")
    write_picture(written, classes)
    return written


def shares(classes, names):
    """What the image shows, the largest first, as text."""
    counts = np.bincount(classes.ravel(), minlength=len(names))
    shown = [index for index in np.argsort(-counts, kind="stable") if counts[index]]
    return ", ".join(f"{names[index]} {100 * counts[index] / classes.size:.1f} %" for index in shown)
