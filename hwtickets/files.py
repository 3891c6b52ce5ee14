"""Files that survive a kill: written under a temporary name, fsynced, renamed; damage is one clear line."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hwtickets.errors import HwticketsError

if TYPE_CHECKING:
    from torch import Tensor


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Lends a temporary name beside `path`; on leaving without an error it takes the place of `path` at once.

    Raises:
        HwticketsError: The file cannot be written (read-only, full disk, a parent that is a file).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _fsync(temporary)
            temporary.replace(path)
            _fsync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes `data` so that `path` holds the old or the new content, never a part."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Writes `text` as UTF-8; see `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: object) -> None:
    """Writes `value` as readable JSON; NaN and infinity are refused, for other readers refuse them too."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path, what: str) -> str:
    """The text of a file; `what` names it in errors ("ticket", "run record")."""
    with reading(path, what):
        return path.read_text(encoding="utf-8")


def read_json(path: Path, what: str) -> Any:
    """The value in a JSON file; missing or damaged: one line that names the file and `what` it is."""
    with reading(path, what):
        return json.loads(path.read_text(encoding="utf-8"))


def append_jsonl(path: Path, record: Mapping[str, object]) -> None:
    """Appends one line and waits until it is on the disk. A torn last line is cut off first."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _drop_torn_line(file.fileno())
            file.write(line.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())


def read_jsonl(path: Path, what: str = "record") -> list[dict[str, Any]]:
    """The records of a JSON-lines file; a last line torn by a kill is dropped, a missing file is empty.

    Raises:
        HwticketsError: A line before the last is damaged (the line's number is in the text).
    """
    if not path.exists():
        return []
    with reading(path, what):
        data = path.read_bytes()
    complete = data[: data.rfind(b"\n") + 1]
    return [_record(path, what, number, line) for number, line in enumerate(complete.split(b"\n")[:-1], 1)]


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors and texts as safetensors; views and channels-last tensors are stored contiguously."""
    from safetensors.torch import save

    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(stored, dict(metadata or {})))


def read_tensors(path: Path, what: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and texts of a safetensors file; missing or damaged: one line."""
    from safetensors import SafetensorError, safe_open

    with reading(path, what):
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(error) from error


def sha256_of(source: Path | bytes) -> str:
    """The SHA-256 of bytes or of a file's content, in hexadecimal."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with reading(source, "file"):
        return hashlib.sha256(source.read_bytes()).hexdigest()


class FolderLock:
    """Holds a folder for one process. The system releases it when the process ends, however it ends.

    Raises:
        HwticketsError: Another process holds the folder, or it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._descriptor = -1

    def __enter__(self) -> FolderLock:
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(self._descriptor, 32).decode("ascii", "replace").strip() or "unknown"
                os.close(self._descriptor)
                raise HwticketsError(
                    f"run folder {self._folder} is in use by process {owner}; "
                    "wait for it or choose another folder"
                ) from None
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, str(os.getpid()).encode("ascii"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an OSError of writing into one line that names the path and the system's reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise HwticketsError(f"cannot write {path}: {reason}; make room or choose another place") from error


@contextlib.contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Turns a missing or damaged file into one line that names the path and `what` it is."""
    try:
        yield
    except FileNotFoundError as error:
        raise HwticketsError(f"there is no {what} at {path}") from error
    except OSError as error:
        raise HwticketsError(f"cannot read the {what} {path}: {error.strerror or error}") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise HwticketsError(f"the {what} {path} is damaged: {reason}") from error


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _drop_torn_line(descriptor: int) -> None:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)


def _record(path: Path, what: str, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise HwticketsError(f"the {what} {path} is damaged in line {number}: {error}") from error
    if not isinstance(record, dict):
        raise HwticketsError(f"the {what} {path} is damaged in line {number}: not a record")
    return record
