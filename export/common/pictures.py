"""Images in and out: files to pixels, pixels to the network's input."""

import io
from pathlib import Path

import numpy as np
from hwt_write import write_bytes


def opened(path, channels):
    """An image file as a Pillow image with the network's number of channels."""
    try:
        from PIL import Image
    except ImportError:
        raise ValueError(f"Pillow is needed for {path}: python3 -m pip install pillow") from None
    with Image.open(str(path)) as image:
        return image.convert("L" if channels == 1 else "RGB")


def is_array(path):
    """Whether a file holds pixels that are ready for the network, and Pillow is not needed."""
    return Path(path).suffix == ".npy"


def array_of(path, preprocessing):
    """The pixels of a .npy, (H, W, C) with values 0..255, if they are what the network takes."""
    pixels = np.load(str(path), allow_pickle=False)
    shaped = pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels
    wanted = (*size_of(preprocessing), preprocessing["channels"])
    if shaped.shape != wanted:
        raise ValueError(f"{path} has the shape {pixels.shape}, the network takes {wanted}")
    if shaped.min() < 0 or shaped.max() > 255:
        raise ValueError(f"{path} has values outside 0..255")
    return shaped


def size_of(preprocessing):
    """Height and width of the network's input in pixels."""
    resolution = preprocessing["resolution"]
    return tuple(resolution) if isinstance(resolution, list) else (resolution, resolution)


def prepared(pixels, preprocessing):
    """The network's input, float32 (1, C, H, W), from pixels 0..255, (H, W) or (H, W, C)."""
    mean = np.asarray(preprocessing["mean"], dtype=np.float32)
    std = np.asarray(preprocessing["std"], dtype=np.float32)
    shaped = np.asarray(pixels).reshape(*size_of(preprocessing), preprocessing["channels"])
    values = (shaped.astype(np.float32) / 255 - mean) / std
    return np.ascontiguousarray(values.transpose(2, 0, 1)[np.newaxis])


def write_array(path, values):
    """Writes an array as .npy, whole or not at all."""
    file = io.BytesIO()
    np.save(file, values)
    write_bytes(str(path), file.getvalue())


def write_picture(path, pixels):
    """Writes uint8 pixels (H, W) as a .png, whole or not at all."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    write_bytes(str(path), file.getvalue())
