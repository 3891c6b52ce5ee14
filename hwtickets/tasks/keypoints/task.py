"""Keypoints of persons, one crop each: heatmaps of the joints, scored by COCO's average precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.errors import UsageError
from hwtickets.tasks.evaluation import LARGEST_BATCH
from hwtickets.tasks.keypoints.affine import BOX_PADDING, Floats, crop_matrices
from hwtickets.tasks.keypoints.crops import MEAN, STD, crops_of, moved_joints, random_matrices
from hwtickets.tasks.keypoints.datasets import load_persons
from hwtickets.tasks.keypoints.finding import PoseFinder
from hwtickets.tasks.keypoints.heatmaps import STRIDE, draw_heatmaps, peaks, read_heatmaps, sigma_for
from hwtickets.tasks.keypoints.oks import OksScores, evaluate, evaluation_tools
from hwtickets.tasks.keypoints.persons import PersonData, Persons, PersonSplit
from hwtickets.tasks.order import BatchOrder
from hwtickets.tasks.parts import part_rows
from hwtickets.tasks.settings import Decoding, TaskSettings
from hwtickets.tasks.task import SplitName

SMALLEST_SIDE = 32
PCK_SHARE = 0.1
"""Of the input's longer side: so far may a joint be off to count as found on sample images."""


class Keypoints:
    """Joints of single persons, found on crops from top-down boxes.

    Args:
        data: Whose joints are found.
        batch_size: Persons in a training batch.
        resolution: Height and width of the network's inputs in pixels, multiples of 4; None is the data's.
        seed: Orders and augments the training crops.
        sigma: Spread of the hills that are learnt, in heatmap cells; None is the heatmap's height / 32, at
            least 1.5.
        decoding: How heatmaps are read in `score`; see `heatmaps.read_heatmaps`.
        flip_test: Whether `score` averages the heatmaps of every crop and of its mirror image.

    Raises:
        UsageError: The batch is larger than the training data, or the resolution does not suit heatmaps.
        HwticketsError: pycocotools is not installed.
    """

    name: ClassVar = "keypoints"
    metric: ClassVar = "OKS AP"
    metric_unit: ClassVar = "%"
    higher_is_better: ClassVar = True
    head: ClassVar = "dense"
    # Heatmaps are nearly empty: what begins large, or has one rate for all weights, unlearns that first.
    suited: ClassVar[Mapping[str, Any]] = {"optimizer": "adamw", "learning_rate": 5e-3, "schedule": "cosine"}
    head_init: ClassVar = "small"

    def __init__(
        self,
        data: PersonData,
        batch_size: int,
        resolution: tuple[int, int] | None = None,
        seed: int = 0,
        sigma: float | None = None,
        decoding: Decoding = "shifted",
        flip_test: bool = True,
    ) -> None:
        # Now rather than after the training.
        evaluation_tools()
        self.data = data
        self.size = _checked(resolution or data.resolution)
        self.sigma = sigma
        self.finder = PoseFinder(self.size, data.skeleton, decoding, flip_test)
        self.input_shape = (3, *self.size)
        self.classes = data.skeleton.names
        self.num_outputs = len(self.classes)
        self._order = BatchOrder(len(data.train.persons), batch_size, seed)
        self.steps_per_epoch = self._order.steps_per_epoch

    @classmethod
    def build(cls, settings: TaskSettings) -> Keypoints:
        """Keypoints of a data set by name; errors as in `tasks.build_task`. Labels are not smoothed."""
        data = load_persons(settings.data, settings.resolution, settings.seed)
        return cls(
            data,
            settings.batch_size,
            settings.resolution,
            settings.seed,
            settings.sigma,
            settings.decoding,
            settings.flip_test,
        )

    def train_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """One batch of crops scaled, turned and mirrored at random; a pure function of the seed and the step.

        Args:
            step: Counts optimizer steps from 0; each `steps_per_epoch` of them show everybody in a new order.

        Returns:
            Normalised crops float32 (B, 3, H, W), channels last, and targets float32 (B, K, 3): x and y in
            input pixels, and 1 where the joint counts, otherwise 0.
        """
        return self.train_part(step, 0, 1)

    def train_part(self, step: int, index: int, count: int) -> tuple[Tensor, Tensor]:
        """One of `count` equal parts of a training batch, loaded without the rest; see `PartedLessons`."""
        persons = self.data.train.persons.taken(self._order.train(step).numpy())
        matrices, mirrored = random_matrices(persons.boxes, self.size, self._order.generator(step))
        rows = part_rows(len(persons), index, count)
        crops = crops_of(self.data.train.images, persons.images[rows], matrices[rows], self.size)
        return crops, self._targets(persons, matrices, mirrored)[rows]

    def validation_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Crops of the labelled validation persons in order, not augmented, with their targets."""
        return self._batches(self.data.validation, batch_size)

    def test_batches(self, batch_size: int = LARGEST_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Crops of the labelled test persons in order, not augmented, with their targets."""
        return self._batches(self.data.test, batch_size)

    def calibration_batch(self, index: int) -> Tensor:
        """Training crops without augmentation, in an order of their own; repeats after `steps_per_epoch`.

        Returns:
            Normalised crops float32 (B, 3, H, W), channels last.
        """
        persons = self.data.train.persons.taken(self._order.calibration(index).numpy())
        matrices = crop_matrices(persons.boxes, self.size)
        return crops_of(self.data.train.images, persons.images, matrices, self.size)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Half the squared error of heatmaps, the mean over cells, joints and persons.

        Joints that do not count add nothing to it, and are counted: parts of a batch may be averaged.

        Args:
            outputs: Heatmaps (B, K, h, w).
            targets: As in `train_batch`.

        Source: Xiao, Wu and Wei, Simple baselines for human pose estimation (2018), section 3; the half is
        their public code's.
        """
        size = (outputs.shape[2], outputs.shape[3])
        hills = draw_heatmaps(targets, size, self.sigma or sigma_for(size[0]))
        return _half_squared_error(outputs, hills, targets[..., 2])

    def imitation_loss(self, outputs: Tensor, taught: Tensor, temperature: float) -> Tensor:
        """Half the squared error between two networks' heatmaps, the mean over cells, joints and persons.

        Args:
            outputs: Heatmaps (B, K, h, w).
            taught: Heatmaps of the teacher (B, K, h, w).
            temperature: Not used: heatmaps are no logits.
        """
        return _half_squared_error(outputs, taught, torch.ones_like(outputs[..., 0, 0]))

    def score(self, model: nn.Module, split: SplitName) -> float:
        """Average precision in percent; every module is put back into the mode it was in."""
        return self.results(model, split).ap

    def details(self, model: nn.Module, split: SplitName) -> dict[str, float]:
        """Average precision over all similarities and at 0.5 and 0.75, and average recall, in percent."""
        found = self.results(model, split)
        return {"OKS AP": found.ap, "AP50": found.ap50, "AP75": found.ap75, "AR": found.ar}

    def results(self, model: nn.Module, split: SplitName) -> OksScores:
        """COCO's figures on one split.

        On the test split the boxes are those of the detector where the data names one. With labelled boxes,
        the figures are not comparable with those of detectors.

        Args:
            model: Put into evaluation mode, and every module back into the mode it was in.
            split: Where persons are searched.
        """
        part: PersonSplit = getattr(self.data, split)
        return evaluate(part.truth, self.finder.poses(model, part), self.data.skeleton.sigmas)

    @staticmethod
    def score_outputs(outputs: NDArray[np.float32], targets: NDArray[Any]) -> float:
        """Share of joints found on sample crops, in percent (PCK; not the average precision of `score`).

        A joint is found within a tenth of the input's longer side. Joints that do not count are left out.

        Args:
            outputs: Heatmaps (images, K, h, w), 4 input pixels a cell.
            targets: As in `validation_batches`, (images, K, 3).
        """
        counted = targets[..., 2] > 0
        off = np.hypot(*np.moveaxis(read_heatmaps(outputs)[0] - targets[..., :2], -1, 0))
        limit = PCK_SHARE * STRIDE * max(outputs.shape[2:])
        return 100 * float((off[counted] <= limit).mean()) if counted.any() else 0.0

    @staticmethod
    def agreement(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
        """Share of the joints whose peaks are in the same or in neighbouring cells."""
        apart = np.abs(peaks(expected)[0] - peaks(actual)[0]).max(2)
        return float((apart <= 1).mean())

    def preprocessing(self) -> dict[str, Any]:
        """How to make an input and how to read the output.

        The person's box, padded and widened to the input's shape, is cut out and scaled; then (pixel / 255 -
        mean) / std. The outputs are heatmaps in the order of the classes.
        """
        return {
            "layout": "NCHW",
            "color": "RGB",
            "channels": 3,
            "resolution": list(self.size),
            "crop": "person box",
            "box_padding": BOX_PADDING,
            "fill": 0,
            "input_range": [0.0, 1.0],
            "mean": list(MEAN),
            "std": list(STD),
            "output": "heatmaps",
            "output_stride": STRIDE,
            "mirrored_joints": self.data.skeleton.mirrored.tolist(),
        }

    def _batches(self, split: PersonSplit, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        persons = split.persons
        matrices = crop_matrices(persons.boxes, self.size)
        targets = self._targets(persons, matrices, np.zeros(len(persons), dtype=np.bool_))
        for start in range(0, len(persons), batch_size):
            part = slice(start, start + batch_size)
            yield crops_of(split.images, persons.images[part], matrices[part], self.size), targets[part]

    def _targets(self, persons: Persons, matrices: Floats, mirrored: NDArray[np.bool_]) -> Tensor:
        partners = self.data.skeleton.mirrored
        return torch.from_numpy(moved_joints(persons.joints, matrices, self.size, mirrored, partners))


def _half_squared_error(outputs: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    errors = (outputs.float() - wanted.float()).square().mean((2, 3))
    return (weights * errors).mean() / 2


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    height, width = size
    if height % STRIDE or width % STRIDE or min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"resolution {height}x{width}: keypoints need multiples of {STRIDE}, at least {SMALLEST_SIDE}."
        )
    return size
