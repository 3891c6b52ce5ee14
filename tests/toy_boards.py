"""Devices that only a made-up table describes: nothing is timed on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from hwtickets.devices import DeviceProfile
from hwtickets.devices.registry import profile_path, save_profile
from hwtickets.space.space import SearchSpace
from hwtickets.tables import Calibration, LatencyTable, Row, save_table


@contextmanager
def known_board(name: str) -> Iterator[None]:
    """Within it there is a device of that name."""
    facts = {"description": "a toy", "connection": "none", "runtime": "trtexec", "precisions": ("fp16",)}
    save_profile(DeviceProfile.model_validate({"name": name, **facts}))
    try:
        yield
    finally:
        profile_path(name).unlink()


def save_board_table(
    name: str, space: SearchSpace, networks: Iterable[Mapping[str, int]], alignment: int, folder: Path
) -> None:
    """Saves a table of a device with a row for every operator of some networks of a space."""
    specs = {operator.spec for widths in networks for operator in space.graph(widths)}
    table = LatencyTable(
        *(name, "trtexec", "fp16"),
        batch=1,
        alignment=alignment,
        fingerprint={"device": name},
        rows={spec: Row(1e-4 + spec.macs / 1e7, 1e-5, 100, 2) for spec in specs},
        calibration=Calibration(0.001, 1.0, 0.0005),
        error={"median_error": 0.1, "p90_error": 0.2},
        provenance={"source": "made up"},
    )
    save_table(table, folder)
