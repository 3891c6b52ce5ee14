"""Tickets: drawn subnets on disk, `ticket.json` + `weights.safetensors`, reloaded as plain modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hwtickets import files
from hwtickets.errors import HwticketsError
from hwtickets.modules.live import provided
from hwtickets.space.slicing import resize
from hwtickets.space.space import SearchSpace, space_of
from hwtickets.supernets import Supernet, build_supernet

SCHEMA = 1


@dataclass(frozen=True)
class Architecture:
    """Which subnet of which supernet.

    Attributes:
        supernet: Name of the supernet.
        sizes: Its keyword arguments.
        input_shape: Channels, height and width (pixels) of one input.
        classes: Outputs.
        widths: Channels kept by unit; 0 where a branch is gone.
        totals: Channels in the supernet by unit.
        forms: Deployed form by block.
    """

    supernet: str
    sizes: dict[str, Any]
    input_shape: tuple[int, int, int]
    classes: int
    widths: dict[str, int]
    totals: dict[str, int]
    forms: dict[str, str]

    def build(self) -> tuple[Supernet, SearchSpace]:
        """The subnet with fresh weights, and the search space it was drawn from."""
        model = build_supernet(self.supernet, self.input_shape, self.classes, self.sizes)
        space = space_of(model, self.supernet)
        if set(self.widths) != set(space.units):
            raise HwticketsError(
                f"ticket: its units are not those of supernet {self.supernet} with these sizes"
            )
        resize(model, space.units.values(), self.widths)
        return model, space


@dataclass(frozen=True)
class Ticket:
    """A drawn subnet; immutable once saved.

    Attributes:
        architecture: The subnet.
        weights: State dict, recalibrated batch-norm statistics included.
        task: Name, data, metric and preprocessing of the task: what a deployed model must know.
        provenance: Criterion, allocation, budgets, predictions, seed, device, table, parent.
    """

    architecture: Architecture
    weights: dict[str, Tensor]
    task: dict[str, Any]
    provenance: dict[str, Any] = field(default_factory=dict)

    def module(self, build: Callable[[], nn.Module] | None = None) -> Supernet:
        """A plain module in evaluation mode.

        Args:
            build: Makes the user's module at full width, where the ticket is of one and its reference leads
                nowhere any more; by default the reference is followed.

        Raises:
            HwticketsError: The module cannot be built, or the weights do not fit it.
        """
        reference = self.architecture.sizes.get("reference")
        if build is not None and reference is not None:
            with provided(reference, build):
                return self.module()
        model, _ = self.architecture.build()
        missing = set(model.state_dict()) ^ set(self.weights)
        if missing:
            raise HwticketsError(
                f"ticket: weights do not fit its architecture, first difference: {sorted(missing)[0]}"
            )
        try:
            model.load_state_dict(self.weights)
        except RuntimeError as error:
            raise HwticketsError(
                f"ticket: weights do not fit its architecture ({str(error).splitlines()[-1].strip()})"
            ) from error
        return model.eval()

    def save(self, folder: Path) -> str:
        """Writes the ticket; the JSON comes last, so a folder with it is complete.

        Returns:
            The ticket's hash.
        """
        weights_path = folder / "weights.safetensors"
        files.write_tensors(
            weights_path, {name: tensor.contiguous() for name, tensor in self.weights.items()}, None
        )
        record = {
            "schema": SCHEMA,
            "architecture": asdict(self.architecture),
            "task": self.task,
            "provenance": self.provenance,
            "weights_sha256": files.sha256_of(weights_path),
        }
        record["hash"] = _hash(record)
        files.write_json(folder / "ticket.json", record)
        return str(record["hash"])

    @staticmethod
    def load(folder: Path) -> Ticket:
        """Reads a ticket and checks that nothing of it was changed.

        Raises:
            HwticketsError: Missing, corrupted or altered; names the file.
        """
        path = folder / "ticket.json"
        record = files.read_json(path, "ticket")
        if not isinstance(record, dict) or record.get("hash") != _hash(
            {k: v for k, v in record.items() if k != "hash"}
        ):
            raise HwticketsError(f"{path}: the ticket is corrupted (its hash does not fit); draw it again")
        if record["schema"] != SCHEMA:
            raise HwticketsError(
                f"{path}: written by another version (schema {record['schema']}, not {SCHEMA})"
            )
        weights_path = folder / "weights.safetensors"
        weights, _ = files.read_tensors(weights_path, "ticket weights")
        if files.sha256_of(weights_path) != record["weights_sha256"]:
            raise HwticketsError(f"{weights_path}: the weights are not those of the ticket; draw it again")
        fields = dict(record["architecture"])
        fields["input_shape"] = tuple(fields["input_shape"])
        return Ticket(Architecture(**fields), weights, record["task"], record["provenance"])


def ticket_hash(folder: Path) -> str:
    """The hash of a saved ticket."""
    return str(files.read_json(folder / "ticket.json", "ticket")["hash"])


def precisions_of(folder: Path) -> dict[str, str]:
    """Precision by part of a saved ticket; empty where it was not drawn."""
    return dict(Ticket.load(folder).provenance.get("precisions", {}))


def _hash(record: dict[str, Any]) -> str:
    return files.sha256_of(json.dumps(record, sort_keys=True).encode())[:16]
