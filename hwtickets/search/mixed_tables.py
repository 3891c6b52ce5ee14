"""Whether precisions can be drawn for a job, and the latency tables that this takes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from hwtickets.errors import DeviceError, UsageError
from hwtickets.pipelines import PIPELINES
from hwtickets.search.job import MIXED, Job
from hwtickets.tables import LatencyTable, find_table, table_for
from hwtickets.tables.locate import outdated_tables
from hwtickets.tables.store import read_device, table_key

#: What a graph can mix; the first is the precision of training.
MIXABLE = ("fp32", "fp16", "int8")


def require_mixable(job: Job) -> None:
    """Checks that precisions can be drawn.

    Raises:
        UsageError: The space, the pipeline, the price or the runtime knows no choice of them; says which.
    """
    config, device, asked = job.config, job.device, f"--precision {MIXED}"
    if job.space.coupled:
        raise UsageError(
            f"{asked} chooses for blocks, and a module of your own has none; draw in fp32, then: hwtickets"
            f" export TICKET {asked} --latency 80%"
        )
    if PIPELINES[config.pipeline].network != "valued":
        raise UsageError(
            f"{asked} weighs widths against precisions, and pipeline {config.pipeline} draws by no value;"
            " choose another pipeline, or fp32"
        )
    if config.price != "latency" or "latency" not in config.budgets:
        raise UsageError(f"{asked} is a choice under a latency: give --latency, and leave out price: macs")
    if device.runtime.startswith("pytorch"):
        raise UsageError(f"{device.name} runs no graphs of several precisions; choose another device")


def other_tables(job: Job) -> dict[str, LatencyTable]:
    """The tables of the job's device and space in other precisions than that of training.

    Raises:
        UsageError: There is none; says how to make one.
    """
    wanted = [name for name in MIXABLE[1:] if name in job.device.table_precisions]
    found = {name: table for name in wanted if (table := _table_at_hand(job, name)) is not None}
    if found:
        return found
    if not job.device.measurable:
        advice = "import one of another precision: hwtickets table import"
    else:
        advice = f"build one: {_build_command(job, wanted[-1] if wanted else 'int8')}"
    raise UsageError(
        f"--precision {MIXED} needs latency tables of {job.device.name} in two precisions; there is one of"
        f" {MIXABLE[0]} only, {advice}"
    )


def _table_at_hand(job: Job, precision: str) -> LatencyTable | None:
    """The table of a precision, never measured now; None if there is none."""
    config, device = job.config, job.device
    other = config.allow_other_fingerprint
    if config.table is not None:
        known = read_device(Path(config.table))["tables"]
        if table_key(device.runtime, precision) not in known:
            return None
        return table_for(job.space, device, precision, job.progress, Path(config.table), other)
    if not device.measurable:
        try:
            return table_for(job.space, device, precision, job.progress)
        except (UsageError, DeviceError):
            return None
    found = find_table(device, job.space, precision)
    if found is None and other:
        folders = [folder for folder, _ in outdated_tables(device, job.space, precision)]
        return table_for(job.space, device, precision, job.progress, folders[0], True) if folders else None
    return found


def _build_command(job: Job, precision: str) -> str:
    supernet, shape = job.config.supernet, "x".join(map(str, job.space.input_shape))
    sizes = [f"--set {shlex.quote(f'{key}={json.dumps(value)}')}" for key, value in supernet.sizes.items()]
    network = " ".join([f"--supernet {supernet.name}", *sizes, f"--input {shape}"])
    device = f"--device {job.device.name}"
    return f"hwtickets table build {device} {network} --classes {job.space.classes} --precision {precision}"
