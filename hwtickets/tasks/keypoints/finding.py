"""Finds the persons of a split with a network: crops in, poses on the images out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hwtickets.tasks.evaluation import batch_size_for, evaluating
from hwtickets.tasks.keypoints.affine import crop_matrices, inverse, mapped
from hwtickets.tasks.keypoints.crops import crops_of
from hwtickets.tasks.keypoints.heatmaps import read_heatmaps
from hwtickets.tasks.keypoints.oks import Poses, without_doubles
from hwtickets.tasks.keypoints.persons import PersonSplit
from hwtickets.tasks.keypoints.skeleton import Skeleton
from hwtickets.tasks.settings import Decoding

SURE_JOINT = 0.2
"""Joints with lower peaks say nothing of how sure a pose is (HRNet's public settings)."""


@dataclass(frozen=True, eq=False)
class PoseFinder:
    """How a network's heatmaps become poses.

    Attributes:
        size: Height and width of the network's inputs, in pixels.
        skeleton: The joints, in the order of the heatmaps.
        decoding: How heatmaps are read; see `heatmaps.read_heatmaps`.
        flip_test: Whether the heatmaps of every crop and of its mirror image are averaged.
    """

    size: tuple[int, int]
    skeleton: Skeleton
    decoding: Decoding
    flip_test: bool

    @torch.no_grad()
    def poses(self, model: nn.Module, split: PersonSplit) -> Poses:
        """The poses in a split's boxes; a detector's boxes may show one person twice, which is sorted out.

        Args:
            model: Put into evaluation mode, and every module back into the mode it was in.
            split: Where persons are searched.
        """
        found = split.candidates
        matrices = crop_matrices(found.boxes, self.size)
        back = inverse(matrices)
        joints, scores = np.empty((len(found), len(self.skeleton.names), 2)), np.empty(len(found))
        step = batch_size_for(*self.size)
        device = next(model.parameters()).device
        with evaluating(model):
            for start in range(0, len(found), step):
                part = slice(start, start + step)
                crops = crops_of(split.images, found.images[part], matrices[part], self.size).to(device)
                places, values = read_heatmaps(self._heatmaps(model, crops), self.decoding)
                joints[part] = mapped(back[part], places)
                scores[part] = found.scores[part] * _sureness(values)
        poses = Poses(found.images, joints, scores, found.boxes[:, 2] * found.boxes[:, 3])
        if split.detections is None:
            return poses
        return poses.taken(without_doubles(poses, self.skeleton.sigmas))

    def _heatmaps(self, model: nn.Module, crops: Tensor) -> NDArray[np.float32]:
        heatmaps = model(crops).float()
        if self.flip_test:
            partners = torch.from_numpy(self.skeleton.mirrored)
            mirrored = model(crops.flip(3)).float().flip(3)
            heatmaps = (heatmaps + mirrored[:, partners]) / 2
        array: NDArray[np.float32] = heatmaps.cpu().numpy()
        return array


def _sureness(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean height of each pose's peaks, of those that are high enough; (B, K) to (B,)."""
    sure = values > SURE_JOINT
    total: NDArray[np.float64] = (values * sure).sum(1)
    return total / np.maximum(1, sure.sum(1))
