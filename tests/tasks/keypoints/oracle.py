from __future__ import annotations

from torch import Tensor, nn

from hwtickets.tasks.keypoints.heatmaps import STRIDE, draw_heatmaps


class Oracle(nn.Module):
    """Answers with the heatmaps of given joints, whatever it is shown."""

    def __init__(self, joints: Tensor, sigma: float = 2.0) -> None:
        super().__init__()
        self.joints, self.sigma = joints, sigma
        self.batch_norm = nn.BatchNorm2d(1)
        self.seen = 0
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.modes.add(self.training)
        joints = self.joints[self.seen : self.seen + len(x)]
        self.seen += len(x)
        return draw_heatmaps(joints, (x.shape[2] // STRIDE, x.shape[3] // STRIDE), self.sigma)
