"""Sample images that travel with a ticket and its bundle."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.tasks.task import Task

#: Samples are as many as fit, at least 8: enough for a check, little to carry.
LARGEST_BYTES, MOST_SAMPLES = 4_000_000, 256


@dataclass(frozen=True)
class Samples:
    """Inputs as the network sees them.

    Attributes:
        inputs: Normalised images, fp32, shape (images, channels, height, width).
        targets: What is right for every image, as the task understands it, shape (images, ...).
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]

    @staticmethod
    def of(task: Task) -> Samples:
        """The first validation images of a task."""
        image_bytes = 4 * int(np.prod(task.input_shape))
        count = max(8, min(MOST_SAMPLES, LARGEST_BYTES // image_bytes))
        x, targets = next(iter(task.validation_batches(count)))
        return Samples(x.contiguous().numpy(), targets.numpy())

    def save(self, path: Path, **arrays: NDArray[np.float32]) -> None:
        """Writes them, and further arrays by name, as a compressed npz without pickles."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, inputs=self.inputs, targets=self.targets, **arrays)  # type: ignore[arg-type]
        files.write_bytes(path, buffer.getvalue())

    def save_arrays(self, folder: Path, **arrays: NDArray[np.float32]) -> None:
        """Writes them, and further arrays by name, as one .npy each, which needs no library to be read."""
        for name, array in {"inputs": self.inputs, "targets": self.targets, **arrays}.items():
            buffer = io.BytesIO()
            np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
            files.write_bytes(folder / f"{name}.npy", buffer.getvalue())

    def outputs_of(self, model: torch.nn.Module) -> NDArray[np.float32]:
        """Outputs of a PyTorch network, shape (images, ...)."""
        with torch.no_grad():
            outputs: NDArray[np.float32] = model(torch.from_numpy(self.inputs)).numpy()
        return outputs


def read_samples(path: Path) -> tuple[Samples, dict[str, NDArray[np.float32]]]:
    """The samples of an npz file and the further arrays in it; a damaged file is one line."""
    with _readable(path), np.load(path, allow_pickle=False) as archive:
        return _as_samples({name: archive[name] for name in archive.files})


def read_arrays(folder: Path) -> tuple[Samples, dict[str, NDArray[np.float32]]]:
    """The samples that `Samples.save_arrays` wrote, and the further arrays; a damaged file is one line."""
    arrays = {}
    for name in ("inputs", "targets", "expected"):
        with _readable(folder / f"{name}.npy") as path:
            arrays[name] = np.load(path, allow_pickle=False)
    return _as_samples(arrays)


def _as_samples(arrays: dict[str, NDArray[Any]]) -> tuple[Samples, dict[str, NDArray[np.float32]]]:
    return Samples(arrays.pop("inputs"), arrays.pop("targets")), arrays


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[Path]:
    try:
        yield path
    except FileNotFoundError as error:
        raise HwticketsError(f"there are no samples at {path}; export the ticket again") from error
    except Exception as error:  # np.load raises whatever the damaged bytes lead it to.
        raise HwticketsError(
            f"the samples {path} are damaged ({type(error).__name__}); export the ticket again"
        ) from error
