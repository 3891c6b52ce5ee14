"""What every task is built from."""

from __future__ import annotations

from dataclasses import dataclass

from hwtickets.errors import UsageError


@dataclass(frozen=True)
class TaskSettings:
    """Data and batches of a task.

    Attributes:
        data: What `--data` says, e.g. "fashion-mnist-small" or "folder:DIR".
        resolution: Height and width of the inputs, in pixels; None is the data's own.
        batch_size: Images in a training batch.
        label_smoothing: Share of the target spread evenly over all classes.
        seed: Orders, splits and augments the training images.
    """

    data: str
    resolution: tuple[int, int] | None = None
    batch_size: int = 128
    label_smoothing: float = 0.0
    seed: int = 0

    @property
    def side(self) -> int | None:
        """The side of square inputs, in pixels; inputs of another shape are a usage error."""
        if self.resolution is None:
            return None
        height, width = self.resolution
        if height != width:
            raise UsageError(f"resolution {height}x{width}: this task takes square images; give one number")
        return height
