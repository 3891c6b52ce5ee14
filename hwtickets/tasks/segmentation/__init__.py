"""Semantic segmentation: one class a pixel."""

from hwtickets.tasks.segmentation.task import Segmentation

__all__ = ["Segmentation"]
