"""The weights that a search began with and those it had soon after: what tickets are rewound to."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.training.loop import Hook, TrainingLoop

#: Points that a ticket can be rewound to.
INIT, EARLY = "init", "early"


class EarlyWeights(Hook):
    """Saves the untrained supernet and, where asked for, the supernet after its first steps.

    Source: Frankle and Carbin, The Lottery Ticket Hypothesis (2019), section 2: winning tickets start from
    the weights that the network began with; Frankle et al., Linear Mode Connectivity and the Lottery Ticket
    Hypothesis (2020), section 3: larger networks need those of an early step.

    Args:
        folder: State folder of the search.
        step: Finished steps of the early checkpoint, before any shrink; 0 for none.
    """

    name = "early"

    def __init__(self, folder: Path, step: int) -> None:
        self._folder, self._step = folder, step

    def on_step_begin(self, loop: TrainingLoop) -> None:
        """Saves the untrained weights."""
        if loop.step == 0:
            _save(self._folder, INIT, 0, loop)

    def after_step(self, loop: TrainingLoop) -> None:
        """Saves the early weights."""
        if loop.step + 1 == self._step:
            _save(self._folder, EARLY, self._step, loop)


def load_early(folder: Path, which: str) -> tuple[dict[str, Tensor], int]:
    """Weights of the whole supernet early in a search.

    Args:
        folder: State folder of the search.
        which: `INIT` or `EARLY`.

    Returns:
        The state dict, and the steps it was trained for.

    Raises:
        HwticketsError: The search kept none, or the file is damaged.
    """
    path = _path(folder, which)
    if not path.exists():
        # A search with `rewind_to: 0` has no early checkpoint; a uniform or random network no search.
        hint = "rewind to init, or search again with rewind_to above 0" if which == EARLY else "search again"
        raise HwticketsError(f"{path}: this run kept no weights to rewind to; {hint}")
    tensors, metadata = files.read_tensors(path, "early checkpoint")
    if not metadata.get("step", "").isdigit():
        raise HwticketsError(f"{path}: not an early checkpoint of hwtickets; search again")
    return tensors, int(metadata["step"])


def _save(folder: Path, which: str, step: int, loop: TrainingLoop) -> None:
    files.write_tensors(_path(folder, which), loop.model.state_dict(), {"step": str(step)})


def _path(folder: Path, which: str) -> Path:
    return folder / f"rewind-{which}.safetensors"
