"""Bundles: what travels to the device. The model, what it needs to be fed with, samples, and a runner."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets import __version__, files
from hwtickets.deploy.deployable import deployable
from hwtickets.deploy.numerics import TOLERANCES
from hwtickets.deploy.onnx_export import OPSET, export_onnx, write_onnx
from hwtickets.deploy.precision import Fp32, Precision
from hwtickets.deploy.samples import Samples, read_samples
from hwtickets.errors import HwticketsError
from hwtickets.resources import resource_dir
from hwtickets.sparsity.ticket import Ticket, ticket_hash


@dataclass(frozen=True)
class Bundle:
    """A folder written by `write_bundle`.

    Attributes:
        folder: The folder.
        facts: Content of `model.json`.
        samples: Sample inputs and targets.
        expected: What PyTorch computed for them, shape (images, ...).
    """

    folder: Path
    facts: dict[str, Any]
    samples: Samples
    expected: NDArray[np.float32]

    @property
    def model_path(self) -> Path:
        """The ONNX file."""
        return self.folder / "model.onnx"


def write_bundle(ticket_folder: Path, folder: Path, precision: Precision | None = None) -> Path:
    """Exports a saved ticket.

    Args:
        ticket_folder: `ticket.json`, `weights.safetensors`, `samples.npz`.
        folder: Where to write; existing files of a bundle are replaced one by one.
        precision: Of the network; as trained (fp32) if not given. Runtimes that compute in another one build
            it from that.

    Returns:
        The bundle's folder.
    """
    ticket = Ticket.load(ticket_folder)
    samples, _ = read_samples(ticket_folder / "samples.npz")
    module = ticket.module()
    architecture = ticket.architecture
    precision = precision or Fp32()
    exact = export_onnx(deployable(module, architecture.forms), architecture.input_shape)
    model, conversion = precision.converted(exact)
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    expected = samples.outputs_of(module)
    facts: dict[str, Any] = {
        "schema": 1,
        "ticket": ticket_hash(ticket_folder),
        "task": ticket.task["name"],
        "classes": ticket.task["classes"],
        "preprocessing": ticket.task["preprocessing"],
        "input": {"name": "x", "shape": [1, *architecture.input_shape], "type": "float32"},
        "output": {"name": "y", "shape": [1, *expected.shape[1:]], "type": "float32"},
        "precision": precision.name,
        **({"conversion": conversion} if conversion else {}),
        "opset": OPSET,
        "forms": architecture.forms,
        "hwtickets": __version__,
    }
    metadata = {"hwtickets.ticket": facts["ticket"], "hwtickets.model": json.dumps(facts)}
    model_path = folder / "model.onnx"
    write_onnx(model, model_path, metadata)
    samples.save(folder / "samples.npz", expected=expected)
    _copy_kit(folder)
    files.write_json(folder / "model.json", {**facts, "onnx_sha256": files.sha256_of(model_path)})
    return folder


def save_and_export(ticket: Ticket, samples: Samples, folder: Path) -> str:
    """Saves a ticket with its samples as `ticket/` and exports it as `bundle/`; the ticket's hash."""
    identity = ticket.save(folder / "ticket")
    samples.save(folder / "ticket" / "samples.npz")
    write_bundle(folder / "ticket", folder / "bundle")
    return identity


def read_bundle(folder: Path) -> Bundle:
    """Opens a bundle and checks that its model is the one it was written with.

    Raises:
        HwticketsError: Missing, damaged or altered; names the file.
    """
    facts = files.read_json(folder / "model.json", "bundle")
    bundle = Bundle(folder, facts, *_expected(folder / "samples.npz"))
    with files.reading(bundle.model_path, "model"):
        found = files.sha256_of(bundle.model_path)
    if not isinstance(facts, dict) or found != facts.get("onnx_sha256"):
        raise HwticketsError(
            f"{bundle.model_path}: not the model that {folder / 'model.json'} describes; export it again"
        )
    if facts.get("precision") not in TOLERANCES or not isinstance(facts.get("forms"), dict):
        raise HwticketsError(
            f"{folder / 'model.json'}: its description of the model is damaged; export it again"
        )
    return bundle


def _expected(path: Path) -> tuple[Samples, NDArray[np.float32]]:
    samples, arrays = read_samples(path)
    if "expected" not in arrays or len(arrays["expected"]) != len(samples.inputs):
        raise HwticketsError(f"the samples {path} hold no expected outputs; export the ticket again")
    return samples, arrays["expected"]


def _copy_kit(folder: Path) -> None:
    for source in sorted((resource_dir("export") / "onnxruntime").iterdir()):
        if source.is_file():
            with files.atomic_path(folder / source.name) as temporary:
                shutil.copyfile(source, temporary)
