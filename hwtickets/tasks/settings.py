"""What every task is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hwtickets.errors import UsageError

Decoding = Literal["shifted", "soft"]
SMALLEST_CROP = 0.08
"""Szegedy et al., Going deeper with convolutions (2015), section 6."""


@dataclass(frozen=True)
class TaskSettings:
    """Data and batches of a task.

    Attributes:
        data: What `--data` says, e.g. "fashion-mnist-small" or "folder:DIR".
        resolution: Height and width of the inputs, in pixels; None is the data's own.
        batch_size: Images in a training batch.
        label_smoothing: Share of the target spread evenly over all classes.
        seed: Orders, splits and augments the training images.
        smallest_crop: Of image folders that are classified: share of a picture that training shows at least.
        decoding: Of keypoints: how heatmaps are read in the score; see `keypoints.heatmaps.read_heatmaps`.
        flip_test: Of keypoints: whether the score averages the heatmaps of every crop and its mirror image.
        sigma: Of keypoints: spread of the hills that are learnt, in heatmap cells; None is the task's own.
    """

    data: str
    resolution: tuple[int, int] | None = None
    batch_size: int = 128
    label_smoothing: float = 0.0
    seed: int = 0
    smallest_crop: float = SMALLEST_CROP
    decoding: Decoding = "shifted"
    flip_test: bool = True
    sigma: float | None = None

    @property
    def side(self) -> int | None:
        """The side of square inputs, in pixels; inputs of another shape are a usage error."""
        if self.resolution is None:
            return None
        height, width = self.resolution
        if height != width:
            raise UsageError(f"resolution {height}x{width}: this task takes square images; give one number")
        return height
