"""Arrays in npz archives."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets.errors import HwticketsError


def read_npz(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Read named arrays of an npz archive; pickled objects are refused.

    Raises:
        HwticketsError: The archive is missing, damaged, or lacks one of the arrays.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names}
    except FileNotFoundError as error:
        raise HwticketsError(f"{path} is missing.") from error
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise HwticketsError(f"{path} is damaged or is not the archive it should be: {error}") from error
