"""The folders that ship with the package: tables, export kits and named configurations."""

from __future__ import annotations

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
