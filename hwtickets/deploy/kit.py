"""The kit of a bundle: runners in Python, for most runtimes also in C++, for one task, and what they read."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.resources import resource_dir

#: Folder under `export/` of a device's runtime; networks for any other run in ONNX Runtime too.
_KITS = {"openvino": "openvino", "tensorrt": "tensorrt", "trtexec": "tensorrt"}
_DEFAULT, _COMMON = "onnxruntime", "common"
#: Modules of the agent: one that every kit needs, and those that build and run engines on the board.
_WRITES = ("hwt_write.py",)
_OF_AGENT = {"tensorrt": ("hwt_build.py", "hwt_cuda.py", "hwt_engine.py", "hwt_refused.py")}
#: Python modules of the common kit that every bundle gets; the others are named after the task they are for.
_EVERYWHERE = ("run.py", "pictures.py")
#: A bundle's model in all its forms, and what others made of it, for that model only.
_OF_MODEL = ("model.onnx", "model.onnx.npz", "unpack.py")
_LEFT_BEHIND = (*_OF_MODEL, "model.engine", "model.engine.json", "model.engine.timings")


def kit_of(runtime: str) -> str:
    """Name of the kit for a device's runtime, a folder under `export/`."""
    return _KITS.get(runtime, _DEFAULT)


def kit_files(kit: str, task: str) -> dict[str, Path]:
    """The files of a kit by their place in the bundle.

    The Python runner is for the task alone; the one in C++ is built once on a board and runs every bundle of
    its runtime.

    Args:
        kit: As `kit_of` gives it.
        task: Name of the task; one that the kit does not know gets runners that check and time, but read no
            images.
    """
    common, own, agent = (resource_dir("export") / name for name in (_COMMON, kit, "agent"))
    found = {path.name: path for path in common.glob("*.py") if path.name in (*_EVERYWHERE, f"{task}.py")}
    if (own / "cpp").is_dir():
        for folder in (common, own):
            found |= {f"cpp/{path.name}": path for path in (folder / "cpp").iterdir() if path.is_file()}
    found |= {name: agent / name for name in (*_WRITES, *_OF_AGENT.get(kit, ()))}
    return {**found, **{path.name: path for path in own.iterdir() if path.is_file()}}


def stale_files(folder: Path, kit: str, task: str) -> list[Path]:
    """The model of an earlier bundle, what runners made of it, and what is of another kit or task."""
    kits = {_DEFAULT, *_KITS.values()}
    common = {path.name for path in (resource_dir("export") / _COMMON).glob("*.py")}
    known = common.union(_LEFT_BEHIND, *(kit_files(name, task) for name in kits))
    return [folder / name for name in sorted(known - set(kit_files(kit, task))) if (folder / name).is_file()]


def write_kit(folder: Path, kit: str, facts: Mapping[str, Any]) -> None:
    """Writes the runners, `labels.txt`, and `model.txt`: what C++ needs of `facts`, one entry a line.

    Args:
        folder: Of the bundle.
        kit: As `kit_of` gives it.
        facts: What `model.json` says of the model.
    """
    for name, source in sorted(kit_files(kit, facts["task"]).items()):
        with files.atomic_path(folder / name) as temporary:
            shutil.copyfile(source, temporary)
    labels = [" ".join(str(name).split()) for name in facts["classes"]]
    files.write_text(folder / "labels.txt", "".join(f"{label}\n" for label in labels))
    files.write_text(folder / "model.txt", _plain(facts))


def _plain(facts: Mapping[str, Any]) -> str:
    entries: dict[str, Any] = {name: facts[name] for name in ("task", "precision", "tolerance")}
    if "cuda" in facts.get("runtime", ""):
        entries["on_gpu"] = 1
    for end in ("input", "output"):
        entries[f"{end}_name"] = facts[end]["name"]
        # The runners give one image at a time, whatever the batch may be.
        entries[f"{end}_shape"] = [1, *facts[end]["shape"][1:]]
    for name, value in facts["preprocessing"].items():
        if _is_numbers(value):
            entries.setdefault(name, value)
    return "".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}\n"
        for name, value in entries.items()
    )


def _is_numbers(value: object) -> bool:
    entries = value if isinstance(value, list) else [value]
    return all(isinstance(entry, int | float) and not isinstance(entry, bool) for entry in entries)
