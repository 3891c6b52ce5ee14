"""Folders that are written whole: first beside their place, then moved there file by file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hwtickets import files
from hwtickets.errors import HwticketsError


@contextlib.contextmanager
def staged(folder: Path, last: str) -> Iterator[Path]:
    """Lends an empty folder; on leaving without an error its files take their places in `folder`.

    Files of the same names are replaced, others stay. What takes time and room is over by then, so that a
    full disk leaves `folder` as it was.

    Args:
        folder: Where the files are to be.
        last: The file that is moved last: with it, `folder` is complete.

    Raises:
        HwticketsError: The folder cannot be written; the message names it.
    """
    temporary = _beside(folder)
    try:
        yield temporary
        with files.writing(folder):
            _move(temporary, folder, last)
    except HwticketsError as error:
        # Nobody but this function knows the temporary folder.
        raise type(error)(str(error).replace(str(temporary), str(folder))) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _beside(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise HwticketsError(f"cannot write {folder}: it is a file; choose another place")
    place = folder.absolute()
    with files.writing(folder):
        place.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".tmp", dir=place.parent))


def _move(source: Path, target: Path, last: str) -> None:
    places = [path.relative_to(source) for path in source.rglob("*") if path.is_file()]
    for place in sorted(places, key=lambda path: (path == Path(last), path)):
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        (source / place).replace(target / place)
