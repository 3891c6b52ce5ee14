"""Folders: those that ship with the package (tables, export kits, configurations) and the user's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from hwtickets.errors import HwticketsError

Resource = Literal["latency_tables", "export", "configs"]

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: Resource) -> Path:
    """The folder `name`, in a source checkout or in an installed wheel.

    Raises:
        HwticketsError: The folder is missing: the installation is damaged.
    """
    # A wheel carries the folders inside the package; a checkout has them at its root, beside the package.
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise HwticketsError(f"hwtickets is installed without its folder '{name}'; install the package again")


def user_dir(name: str) -> Path:
    """The user's own folder `name` ("tables", "devices"), whether it is there or not.

    The base is $HWTICKETS_HOME, or ~/.local/share/hwtickets.
    """
    home = os.environ.get("HWTICKETS_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share" / "hwtickets") / name
