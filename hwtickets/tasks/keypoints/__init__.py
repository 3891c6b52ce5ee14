"""Joints of persons: data, heatmaps, and the average precision of COCO."""

from hwtickets.tasks.keypoints.task import Keypoints

__all__ = ["Keypoints"]
