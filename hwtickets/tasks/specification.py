"""What `--data` says: a kind of data and its folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hwtickets.errors import UsageError, unknown


def data_folder(
    spec: str, kinds: Collection[str], task: str, embedded: Collection[str] = ()
) -> tuple[str, Path]:
    """Splits KIND:DIR.

    Args:
        spec: What `--data` says.
        kinds: Every kind of folder that the task can learn from.
        task: Name of the task, for the error.
        embedded: Data that needs no folder, for the error.

    Returns:
        The kind and the folder, which exists.

    Raises:
        UsageError: The task has no such kind, or the folder is not given, missing, or a file.
    """
    kind, _, place = spec.partition(":")
    known = [*embedded, *(f"{name}:DIR" for name in kinds)]
    if kind not in kinds and Path(spec).is_dir():
        raise UsageError(f"data '{spec}' is a folder; say what it holds: {', '.join(known)}.")
    if kind not in kinds:
        raise unknown("data", spec, known, f" for task {task}")
    if not place:
        raise UsageError(f"data '{kind}' needs a folder: {kind}:DIR.")
    folder = Path(place).expanduser()
    if folder.is_file():
        raise UsageError(f"data '{spec}' is a file, and a folder is needed; known: {', '.join(known)}.")
    if not folder.is_dir():
        raise UsageError(f"data folder {folder} does not exist.")
    return kind, folder
