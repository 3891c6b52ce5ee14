"""Networks and lessons as JSON and tensors, to be told to other processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

from torch import Tensor

from hwtickets.errors import HwticketsError
from hwtickets.modules.gates import Gate, add_gates
from hwtickets.space.slicing import present_widths, resize
from hwtickets.space.space import space_of
from hwtickets.space.units import Unit
from hwtickets.supernets import Supernet, build_supernet, name_of
from hwtickets.tasks import TASKS, TaskSettings, build_task, settings_of
from hwtickets.tasks.task import Lessons, Task
from hwtickets.training.layout import lay_channels_last
from hwtickets.training.teacher import TaughtLessons

Packet = dict[str, Any]


def units_of(model: Supernet) -> dict[str, Unit]:
    """The units of the supernet that a network was cut from."""
    name = _name(model)
    return space_of(build_supernet(name, model.input_shape, model.classes, model.sizes), name).units


def network_packet(model: Supernet, units: Iterable[Unit]) -> tuple[Packet, list[Tensor]]:
    """A network and the values of its state dict, in order.

    Raises:
        HwticketsError: It is not a supernet by name.
    """
    packet = {
        "name": _name(model),
        "input_shape": model.input_shape,
        "classes": model.classes,
        "sizes": model.sizes,
        "widths": present_widths(model, units),
        "gated": any(isinstance(module, Gate) for module in model.modules()),
    }
    return packet, list(model.state_dict().values())


def unpack_network(packet: Packet, tensors: list[Tensor]) -> tuple[Supernet, list[Unit]]:
    """The network of a packet, and the units of its supernet; takes its values off the front of `tensors`."""
    shape = tuple(packet["input_shape"])
    model = build_supernet(packet["name"], shape, packet["classes"], packet["sizes"])
    units = list(space_of(model, packet["name"]).units.values())
    resize(model, units, packet["widths"])
    if packet["gated"]:
        add_gates(model, units)
    names = list(model.state_dict())
    model.load_state_dict(dict(zip(names, tensors, strict=False)))
    del tensors[: len(names)]
    lay_channels_last(model)
    return model, units


def pack_lessons(lessons: Lessons) -> tuple[Packet, Sequence[Tensor]]:
    """Lessons: a task by name, perhaps with a teacher, whose values follow.

    Raises:
        HwticketsError: They are of another kind.
    """
    if not isinstance(lessons, TaughtLessons):
        return {"task": _pack_task(lessons)}, []
    teacher = lessons.teacher
    if not isinstance(teacher, Supernet):
        raise HwticketsError("training: a teacher that is no supernet cannot be shared; train in one process")
    network, weights = network_packet(teacher, units_of(teacher).values())
    taught = {"network": network, "share": lessons.share, "temperature": lessons.temperature}
    return {"task": _pack_task(lessons.task), "teacher": taught}, weights


def unpack_lessons(packet: Packet, tensors: list[Tensor]) -> Lessons:
    """What `pack_lessons` was given, its data loaded; takes a teacher's values off the front of `tensors`."""
    settings = dict(packet["task"]["settings"])
    if settings["resolution"] is not None:
        settings["resolution"] = tuple(settings["resolution"])
    task = _load_task(packet["task"]["name"], TaskSettings(**settings))
    if "teacher" not in packet:
        return task
    taught = packet["teacher"]
    teacher, _ = unpack_network(taught["network"], tensors)
    return TaughtLessons(task, teacher, taught["share"], taught["temperature"])


def _pack_task(task: Lessons) -> Packet:
    names = [name for name, kind in TASKS.items() if type(task) is kind]
    settings = settings_of(task)
    if not names or settings is None:
        raise HwticketsError(
            f"training: {type(task).__name__} is not a task by name and cannot be shared;"
            " train in one process"
        )
    return {"name": names[0], "settings": asdict(settings)}


@cache
def _load_task(name: str, settings: TaskSettings) -> Task:
    return build_task(name, settings)


def _name(model: Supernet) -> str:
    name = name_of(model)
    if name is None:
        raise HwticketsError(
            f"training: {type(model).__name__} is not a supernet by name and cannot be shared;"
            " train in one process"
        )
    return name
