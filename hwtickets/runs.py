"""A run folder: where a search keeps its configuration, its state and everything that it made."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from hwtickets.config import LATER_KEYS
from hwtickets.config_files import read_yaml
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.files import append_jsonl, read_json, read_jsonl, write_json, write_text, writing

#: Settings that say what computes and not what is learnt: a resumed run may have others.
HOW = frozenset({"accelerator", "accumulate", "threads"})


class RunFolder:
    """The layout of a run folder; every write of it survives a kill.

    Attributes:
        path: The folder.
        config: The resolved configuration, as in config.yaml.
    """

    def __init__(self, path: Path, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: Path, config: dict[str, Any], resume: bool = False) -> RunFolder:
        """Makes the folder, or goes on in one that holds a run of the same configuration, but for `HOW`.

        Raises:
            UsageError: The folder holds something else, a run of other settings, or `resume` was not asked.
            HwticketsError: The folder cannot be written, or its config.yaml is damaged.
        """
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        if not path.is_dir() or _is_empty(path):
            write_text(path / "config.yaml", text)
            return cls(path, yaml.safe_load(text))
        if not (path / "config.yaml").exists():
            raise UsageError(f"{path} is not empty and not a run folder; choose another --output-dir")
        run = cls.open(path)
        if not resume:
            raise UsageError(
                f"{path} already holds a run; go on with --resume or choose another --output-dir"
            )
        asked = yaml.safe_load(text)
        known = {**{key: LATER_KEYS[key] for key in LATER_KEYS if key in asked}, **run.config}
        changed = sorted(key for key in {*asked, *known} if asked.get(key) != known.get(key))
        if changed and HOW.issuperset(changed):
            write_text(path / "config.yaml", text)
            return cls(path, asked)
        if changed:
            raise UsageError(
                f"{path} was begun with other settings ({', '.join(changed)}); "
                "resume with the same ones or choose another --output-dir"
            )
        return run

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Opens the folder of an earlier run.

        Raises:
            HwticketsError: There is no run at `path`, or its config.yaml or run.json is damaged.
        """
        if not (path / "config.yaml").exists():
            raise UsageError(f"there is no run at {path} (no config.yaml); name the --output-dir of a search")
        run = cls(path, read_yaml(path / "config.yaml", "run configuration"))
        run.read_record()
        return run

    @property
    def state(self) -> Path:
        """Checkpoints, as safetensors."""
        return self._folder("state")

    @property
    def ticket(self) -> Path:
        """The drawn ticket."""
        return self._folder("ticket")

    @property
    def bundle(self) -> Path:
        """What export wrote."""
        return self._folder("bundle")

    @property
    def report_dir(self) -> Path:
        """The report and its views."""
        return self._folder("report")

    def event(self, kind: str, **fields: object) -> None:
        """Appends an event (an epoch, a decision) to events.jsonl with the time, in seconds since 1970."""
        append_jsonl(self.path / "events.jsonl", {"time": round(time.time(), 3), "event": kind, **fields})

    def candidate(self, **fields: object) -> None:
        """Appends a drawn point (predicted, measured, score) to candidates.jsonl."""
        append_jsonl(self.path / "candidates.jsonl", fields)

    def candidates(self) -> list[dict[str, Any]]:
        """Every drawn point so far."""
        return read_jsonl(self.path / "candidates.jsonl", "list of candidates")

    def record(self, **fields: object) -> None:
        """Merges `fields` into run.json: versions, seed, device fingerprint."""
        write_json(self.path / "run.json", {**self.read_record(), **fields})

    def read_record(self) -> dict[str, Any]:
        """What run.json holds; empty before the first `record`."""
        path = self.path / "run.json"
        if not path.exists():
            return {}
        record = read_json(path, "run record")
        if not isinstance(record, dict) or not isinstance(record.get("stages", []), list):
            raise HwticketsError(f"the run record {path} is damaged: it is not a record of stages")
        return record

    def stage_done(self, name: str) -> bool:
        """Whether `finish_stage(name)` was called, in this process or an earlier one."""
        return any(stage.get("name") == name for stage in self.read_record().get("stages", []))

    def finish_stage(self, name: str, seconds: float) -> None:
        """Notes that a stage is complete and how long it took; a repeated one replaces its earlier note."""
        others = [stage for stage in self.read_record().get("stages", []) if stage.get("name") != name]
        self.record(stages=[*others, {"name": name, "seconds": round(seconds, 3)}])

    def _folder(self, name: str) -> Path:
        folder = self.path / name
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder


def _is_empty(folder: Path) -> bool:
    # The lock of this process, and what a kill left of a config.yaml in the making, are not content.
    return all(entry.name == ".lock" or entry.suffix == ".tmp" for entry in folder.iterdir())
