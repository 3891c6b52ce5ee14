"""Semantic segmentation: one class a pixel, scored by the mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.tasks.augmentation import normalise
from hwtickets.tasks.evaluation import batch_size_for, evaluating
from hwtickets.tasks.images import fill_in_threads
from hwtickets.tasks.logits import same_first_class, softened_divergence
from hwtickets.tasks.order import BatchOrder
from hwtickets.tasks.parts import part_rows
from hwtickets.tasks.segmentation.data import SegmentationData, load_scenes
from hwtickets.tasks.segmentation.label_maps import IGNORED
from hwtickets.tasks.segmentation.scenes import Scenes
from hwtickets.tasks.segmentation.scores import SegmentationScores, confusion_matrix
from hwtickets.tasks.segmentation.windows import WHOLE, Window, cut, random_window
from hwtickets.tasks.settings import TaskSettings
from hwtickets.tasks.task import SplitName

DEFAULT_BATCH = 16


class Segmentation:
    """Segmentation of the scenes of one data set.

    Networks give logits (B, classes, h, w), a quarter of the resolution each way; loss and score enlarge them
    bilinearly to the labels (B, H, W). Training windows have the resolution that is scored at.

    Args:
        data: What is segmented.
        batch_size: Scenes in a training batch.
        label_smoothing: Share of the target spread evenly over all classes.
        seed: Orders and augments the training scenes.

    Raises:
        UsageError: The batch is larger than the training data.
    """

    name: ClassVar = "segmentation"
    metric: ClassVar = "mIoU"
    metric_unit: ClassVar = "%"
    higher_is_better: ClassVar = True
    head: ClassVar = "dense"

    def __init__(
        self, data: SegmentationData, batch_size: int, label_smoothing: float = 0.0, seed: int = 0
    ) -> None:
        self.data = data
        self.label_smoothing = label_smoothing
        self.input_shape = (data.channels, *data.resolution)
        self.classes = data.classes
        self.num_outputs = len(data.classes)
        self._order = BatchOrder(len(data.train), batch_size, seed)
        self.steps_per_epoch = self._order.steps_per_epoch
        colour = (255 * data.mean).round().to(torch.uint8).numpy()
        self._filling = np.append(colour, np.uint8(IGNORED))

    @classmethod
    def build(cls, settings: TaskSettings) -> Segmentation:
        """Segmentation of a data set by name; errors as in `tasks.build_task`."""
        data = load_scenes(settings.data, settings.resolution, settings.seed)
        return cls(data, settings.batch_size, settings.label_smoothing, settings.seed)

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """One training batch, randomly scaled, cut and mirrored; a pure function of the seed and the step.

        Args:
            step: Counts optimizer steps from 0; every `steps_per_epoch` steps the scenes come in a new order.

        Returns:
            Normalised images float32 (B, C, H, W), channels last, and labels uint8 (B, H, W), 255 where no
            class counts.
        """
        return self.train_part(step, 0, 1)

    def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        """One of `count` equal parts of a training batch, loaded without the rest; see `PartedLessons`."""
        batch = self._order.train(step)
        generator = self._order.generator(step)
        windows = [random_window(generator) for _ in batch]
        rows = part_rows(len(batch), index, count)
        return self._seen(self.data.train, batch[rows], windows[rows])

    def validation_batches(self, batch_size: int = DEFAULT_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The validation scenes in order, whole, normalised, with their labels."""
        return self._batches(self.data.validation, batch_size)

    def test_batches(self, batch_size: int = DEFAULT_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """The test scenes in order, whole, normalised, with their labels."""
        return self._batches(self.data.test, batch_size)

    def calibration_batch(self, index: int) -> Tensor:
        """Whole training scenes, in an order of their own; repeats after `steps_per_epoch`.

        Returns:
            Normalised images float32 (B, C, H, W), channels last.
        """
        return self._whole(self.data.train, self._order.calibration(index))[0]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of logits (B, classes, h, w) and labels (B, H, W), averaged over labelled pixels."""
        labels = targets.long()
        logits = enlarged(outputs.float(), labels.shape[-2:])
        total = nn.functional.cross_entropy(
            logits, labels, ignore_index=IGNORED, reduction="sum", label_smoothing=self.label_smoothing
        )
        # A batch may lie wholly in what is not labelled: its loss is 0, not 0 / 0.
        return total / (labels != IGNORED).sum().clamp(min=1)

    def loss_weight(self, targets: Tensor) -> float:
        """Labelled pixels of a part; see `WeighedLessons`."""
        return float((targets != IGNORED).sum())

    def weighed_loss(self, outputs: Tensor, targets: Tensor, factor: float) -> Tensor:
        """The loss of a part; see `WeighedLessons`."""
        return factor * self.loss(outputs, targets)

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Divergence of the softened class probabilities over all places; see `softened_divergence`."""
        return softened_divergence(outputs, taught, temperature)

    def score(self, model: nn.Module, split: SplitName) -> float:
        """The mIoU in percent over the whole split; every module is put back into the mode it was in."""
        return self.scores(model, split).miou

    def details(self, model: nn.Module, split: SplitName) -> dict[str, float]:
        """The mIoU, and the accuracies as the mean over classes and over pixels, in percent."""
        found = self.scores(model, split)
        return {"mIoU": found.miou, "mAcc": found.macc, "aAcc": found.aacc}

    @torch.no_grad()
    def scores(self, model: nn.Module, split: SplitName) -> SegmentationScores:
        """All scores, mIoU, mAcc, aAcc and the IoU of every class, in evaluation mode."""
        batches = self._batches(getattr(self.data, split), batch_size_for(*self.data.resolution))
        device = next(model.parameters()).device
        confusion = np.zeros((self.num_outputs, self.num_outputs), np.int64)
        with evaluating(model):
            for images, labels in batches:
                confusion += _confusion(model(images.to(device)), labels)
        return SegmentationScores.of(confusion)

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """The mIoU in percent of logits (images, classes, h, w) against labels (images, H, W)."""
        confusion = _confusion(torch.from_numpy(outputs), torch.from_numpy(targets))
        return SegmentationScores.of(confusion).miou

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of the places of logits (images, classes, h, w) that have the same first class."""
        return same_first_class(expected, actual)

    def preprocessing(self) -> dict[str, Any]:
        """How to make an input, (pixel / 255 - mean) / std, and what to do with the output."""
        return {
            "layout": "NCHW",
            "color": "grey" if self.data.channels == 1 else "RGB",
            "channels": self.data.channels,
            "resolution": list(self.data.resolution),
            "resize": "inside",
            "interpolation": "bilinear",
            "padding": "right and below, with the mean colour",
            "input_range": [0.0, 1.0],
            "mean": [round(value, 6) for value in self.data.mean.tolist()],
            "std": [round(value, 6) for value in self.data.std.tolist()],
            "output": "logits of every class; enlarge them bilinearly to the resolution, take the largest",
        }

    def _batches(self, scenes: Scenes, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in torch.split(torch.arange(len(scenes)), batch_size):
            yield self._whole(scenes, indices)

    def _whole(self, scenes: Scenes, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self._seen(scenes, indices, [WHOLE] * len(indices))

    def _seen(self, scenes: Scenes, indices: Tensor, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
        chosen = indices.tolist()
        pixels = np.empty((len(chosen), *self.data.resolution, len(self._filling)), np.uint8)
        fill_in_threads(
            pixels,
            lambda place: cut(scenes[chosen[place]], windows[place], self.data.resolution, self._filling),
        )
        images = normalise(pixels[..., :-1], self.data.mean, self.data.std)
        return images, torch.from_numpy(pixels[..., -1].copy())


def enlarged(logits: Tensor, size: Sequence[int]) -> Tensor:
    """Logits (B, classes, h, w) brought to the height and width of the labels, bilinearly."""
    return nn.functional.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def _confusion(outputs: Tensor, labels: Tensor) -> NDArray[np.int64]:
    """The confusion matrix of a batch; one image is enlarged at a time, for that takes the most memory."""
    classes = outputs.shape[1]
    confusion = np.zeros((classes, classes), np.int64)
    for logits, truth in zip(outputs.float(), labels, strict=True):
        predicted = enlarged(logits[None], truth.shape).argmax(1)[0]
        confusion += confusion_matrix(truth.numpy(), predicted.cpu().numpy(), classes)
    return confusion
