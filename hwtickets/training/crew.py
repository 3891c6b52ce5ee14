"""The other processes of a training, as its first one sees them: what they are told."""

from __future__ import annotations

import contextlib
from dataclasses import asdict

from hwtickets.space.slicing import present_widths
from hwtickets.supernets.base import Supernet
from hwtickets.tasks.task import Lessons
from hwtickets.training.accelerator import Accelerator
from hwtickets.training.failures import ProcessLostError
from hwtickets.training.packets import network_packet, pack_lessons, units_of
from hwtickets.training.processes import Processes

#: What the first number of an order says.
END, STEP, CUT = range(3)


class Crew:
    """Keeps the other processes at the same step with the same network.

    They have no optimizer and no hooks: every step they get the weights that the first process has made.

    Args:
        processes: This one, the first, and the others.
        accelerator: The settings that all compute with.
        model: The network; its channels may be cut between two steps.
        lessons: Batches and loss.
        seed: Seeds the random numbers of every step.

    Raises:
        HwticketsError: The lessons or the network are of a kind that cannot be told.
    """

    def __init__(
        self, processes: Processes, accelerator: Accelerator, model: Supernet, lessons: Lessons, seed: int
    ) -> None:
        self._processes, self._accelerator, self._model = processes, accelerator, model
        self._units = list(units_of(model).values())
        network, weights = network_packet(model, self._units)
        taught, teacher_weights = pack_lessons(lessons)
        job = {
            "compute": asdict(accelerator.compute),
            "network": network,
            "frozen": [name for name, weight in model.named_parameters() if not weight.requires_grad],
            "lessons": taught,
            "seed": seed,
        }
        processes.send(job, [*weights, *teacher_weights])
        processes.training = True
        self._in_step = False

    @staticmethod
    def of(accelerator: Accelerator, model: Supernet, lessons: Lessons, seed: int) -> Crew | None:
        """The other processes, ready for this training; None where there are none."""
        if accelerator.processes is None:
            return None
        return Crew(accelerator.processes, accelerator, model, lessons, seed)

    def order(self, step: int) -> None:
        """Has all processes compute a step with the network as it is now; `done` when they have."""
        self._in_step = True
        cut = self._accelerator.was_cut(self._model)
        scale = float(self._accelerator.state().get("scale", 1.0))
        self._processes.exchange_order([CUT if cut else STEP, step, scale])
        if cut:
            self._processes.send(present_widths(self._model, self._units))
        self._processes.share(list(self._model.parameters()))

    def done(self) -> None:
        """The step is computed; the others wait for the next order."""
        self._in_step = False

    def end(self) -> None:
        """Lets the others wait for the next training; those that a failure left in a step cannot hear."""
        if self._in_step:
            return
        # One that is gone by now shows when it is needed again: this training is over.
        with contextlib.suppress(ProcessLostError):
            self._processes.exchange_order([END, 0, 0])
        self._processes.training = False
