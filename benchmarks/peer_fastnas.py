"""FastNAS of NVIDIA ModelOpt, used as its guide says.

It scores every width of every layer by the validation score, once, and finds the widths for a limit of FLOPs
among them. Its guide asks users to prune, measure the latency and adjust the limit: `pruned` takes the share
of the FLOPs to keep. As it says itself where scores take minutes, a part of the validation images is scored:
2,000, twice as many as the training images that our importances look at.
"""

from __future__ import annotations

import contextlib
import copy
import sys
from importlib import import_module
from itertools import islice
from typing import Any

import torch
from torch import nn

from benchmarks.bisection import RefusedError
from benchmarks.peer_pruners import Subject
from hwtickets.tasks.evaluation import evaluating

#: A limit that every search space can keep: what counts is the scoring that comes before.
_NEARLY_ALL = 0.99
#: Batches for the norms of every network that it scores; with fewer it warns and leaves the norms alone.
CALIBRATION_BATCHES, CALIBRATION_IMAGES = 50, 16
#: Validation images that every network is scored on, by batches.
SCORED_BATCHES, SCORED_IMAGES = 4, 500


class FastNAS:
    """See the module.

    Args:
        subject: The trained network.
    """

    spent_steps = 0

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def prepare(self) -> None:
        """Scores all widths; later calls read them from its checkpoint."""
        self.pruned(_NEARLY_ALL)

    def pruned(self, kept: float) -> nn.Module:
        """A copy with at most a share of the FLOPs; see `Peer.pruned`."""
        mtp, task = import_module("modelopt.torch.prune"), self._subject.task
        images = (task.calibration_batch(index) for index in range(CALIBRATION_BATCHES))
        settings = {
            "data_loader": [batch[:CALIBRATION_IMAGES] for batch in images],
            "collect_func": lambda images: images,
            "max_iter_data_loader": CALIBRATION_BATCHES,
            "score_func": self._score,
            "checkpoint": str(self._subject.folder / "fastnas.pth"),
            "verbose": False,
        }
        space = [("fastnas", self._space(mtp))]
        try:
            with contextlib.redirect_stdout(sys.stderr):
                body, _ = mtp.prune(
                    copy.deepcopy(self._subject.body),
                    space,
                    {"flops": f"{100 * kept:.3f}%"},
                    self._subject.example,
                    settings,
                )
        except (AssertionError, RuntimeError, ValueError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
            raise RefusedError(f"FastNAS at {kept:.3f}: {reason}") from error
        assert isinstance(body, nn.Module)
        return body

    @torch.no_grad()
    def _score(self, model: nn.Module) -> float:
        """Accuracy on the first validation images, in percent."""
        batches = islice(self._subject.task.validation_batches(SCORED_IMAGES), SCORED_BATCHES)
        with evaluating(model):
            right = [model(images).argmax(1) == labels for images, labels in batches]
        return 100 * float(torch.cat(right).float().mean())

    def _space(self, mtp: Any) -> Any:
        """Its default space, in steps of the device's alignment."""
        config = mtp.fastnas.FastNASConfig()
        for layer, rules in config.items():
            divisor = "channel_divisor" if "Conv" in layer or "Group" in layer else "feature_divisor"
            rules["*"][divisor] = self._subject.alignment
        return config


def missing_fastnas() -> str:
    """Why it cannot be compared with here; empty if it can."""
    try:
        import_module("modelopt.torch.prune")
        # ModelOpt edits this list to count; torchprofile 0.1 has none.
        counters = hasattr(import_module("torchprofile.profile"), "handlers")
    except ImportError as error:
        return f"nvidia-modelopt cannot count here ({error}); install the extra [peers]"
    return "" if counters else "nvidia-modelopt counts with torchprofile 0.0.4: install the extra [peers]"
