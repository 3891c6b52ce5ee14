#!/usr/bin/env python3
"""Unpacks the network of a bundle: `model.onnx` from `model.onnx.npz`, byte for byte.

    python3 unpack.py [FOLDER]

Needs Python 3.8 and numpy. The packed file is an ordinary npz. `rest` holds the ONNX file without its large
weights; `spans` says of each where it was, how many numbers it has and how many bytes a number; `mask` has
one bit for every number of them all, set where it is not zero; `signs` has one for every zero, set where it
is -0; `values` holds the others: of each weight the first bytes of all of them, then the second ones.
`sha256` is that of the ONNX file.
"""

import errno
import hashlib
import os
import sys

import numpy


def main():
    """Writes model.onnx, whole or not at all."""
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__))
    packed, model = (os.path.join(folder, name) for name in ("model.onnx.npz", "model.onnx"))
    try:
        data = unpacked(packed)
        write(model, data)
    except (OSError, ValueError) as error:
        sys.exit(f"unpack.py: {error}")
    print(f"{model}: {len(data)} bytes, from {os.path.getsize(packed)}")


def write(path, data):
    """Writes a file, whole or not at all."""
    part = path + ".part"
    try:
        with open(part, "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError as error:
        if os.path.exists(part):
            os.unlink(part)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        step = f"; make room in {os.path.dirname(os.path.abspath(path))}" if full else ""
        raise OSError(f"{path}: {error.strerror}{step}") from None


def unpacked(path):
    """The ONNX file in a packed one: a path or an open file; a damaged one is a ValueError."""
    try:
        with numpy.load(path, allow_pickle=False) as arrays:
            data = b"".join(pieces(*(arrays[name] for name in ("rest", "spans", "mask", "signs", "values"))))
            good = hashlib.sha256(data).hexdigest() == str(arrays["sha256"])
    except OSError:
        raise
    except Exception as error:  # Damaged bytes lead numpy and zipfile to any of theirs.
        raise ValueError(f"{path} is damaged ({type(error).__name__}); copy it again") from error
    if not good:
        raise ValueError(f"{path} is damaged (its hash does not fit); copy it again")
    return data


def pieces(rest, spans, mask, signs, values):
    """The parts of the ONNX file, in order."""
    kept = numpy.unpackbits(mask, count=int(spans[:, 1].sum())).astype(bool)
    signs = numpy.unpackbits(signs, count=int((~kept).sum()))
    numbers, zeros, used, begin, cut = 0, 0, 0, 0, 0
    for offset, count, size in spans.tolist():
        yield rest[begin : offset - cut].tobytes()
        begin, cut = offset - cut, cut + count * size
        there = kept[numbers : numbers + count]
        taken = int(there.sum())
        weight = numpy.zeros((count, size), numpy.uint8)
        weight[there] = values[used : used + taken * size].reshape(size, -1).T
        # The sign is the first bit of the last byte.
        weight[~there, -1] = signs[zeros : zeros + count - taken] << 7
        numbers, zeros, used = numbers + count, zeros + count - taken, used + taken * size
        yield weight.tobytes()
    yield rest[begin:].tobytes()


if __name__ == "__main__":
    main()
