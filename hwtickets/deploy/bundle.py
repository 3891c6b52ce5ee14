"""Bundles: what travels to the device. The model, what it needs to be fed with, samples, and runners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwtickets import __version__, files
from hwtickets.deploy.deployable import Forms, deployable, drawn_forms
from hwtickets.deploy.kit import kit_of, stale_files, write_kit
from hwtickets.deploy.numerics import TOLERANCES
from hwtickets.deploy.onnx_export import BATCH, GraphOptions, export_onnx, write_onnx
from hwtickets.deploy.onnx_metadata import model_metadata
from hwtickets.deploy.opsets import at_opset, opset_of
from hwtickets.deploy.packed import unpack_bundle
from hwtickets.deploy.precision import Fp32, Precision
from hwtickets.deploy.samples import Samples, read_arrays, read_samples
from hwtickets.deploy.staging import staged
from hwtickets.errors import HwticketsError
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


def write_bundle(
    ticket_folder: Path,
    folder: Path,
    precision: Precision | None = None,
    graph: GraphOptions | None = None,
    runtime: str = "onnxruntime",
    finish: Callable[[Path], None] | None = None,
    forms: Forms | None = None,
) -> Path:
    """Exports a saved ticket.

    Args:
        ticket_folder: `ticket.json`, `weights.safetensors`, `samples.npz`.
        folder: Where to write; an earlier bundle is replaced when the new one is complete, other files stay.
        precision: Of the network; as trained (fp32) if not given. Runtimes that compute in another one build
            it from that.
        graph: What can be chosen of the graph.
        runtime: Of the device that the runners are for; see `DeviceProfile`.
        finish: What is done to the complete bundle before it takes its place, given the folder that holds it.
        forms: Deployed forms of the blocks; those that were drawn if not given.

    Returns:
        The bundle's folder.

    Raises:
        HwticketsError: The ticket is damaged, or the folder cannot be written; it is as it was then.
    """
    ticket = Ticket.load(ticket_folder)
    samples, _ = read_samples(ticket_folder / "samples.npz")
    module, kit = ticket.module(), kit_of(runtime)
    graph, precision, forms = graph or GraphOptions(), precision or Fp32(), forms or drawn_forms(ticket)
    with staged(folder, last="model.json") as place:
        network = deployable(module, forms.by_block)
        exact = export_onnx(network, ticket.architecture.input_shape, graph.dynamic_batch)
        model, conversion = precision.converted(exact)
        model = at_opset(model, graph.opset)
        expected = samples.outputs_of(module)
        facts: dict[str, Any] = {
            "schema": 1,
            "ticket": ticket_hash(ticket_folder),
            **_of_ticket(ticket, expected.shape[1:], BATCH if graph.dynamic_batch else 1),
            "forms": dict(forms.by_block),
            **({"forms_chosen_for": forms.device} if forms.device else {}),
            "precision": precision.name,
            "tolerance": _tolerance(precision.name, kit),
            **({"conversion": conversion} if conversion else {}),
            "opset": opset_of(model),
            "kit": kit,
            "runtime": runtime,
            "hwtickets": __version__,
        }
        write_onnx(model, place / "model.onnx", model_metadata(facts))
        samples.save_arrays(place / "samples", expected=expected)
        write_kit(place, kit, facts)
        files.write_json(
            place / "model.json", {**facts, "onnx_sha256": files.sha256_of(place / "model.onnx")}
        )
        if finish is not None:
            finish(place)
        _remove_stale(folder, place, facts)
    return folder


def save_and_export(
    ticket: Ticket,
    samples: Samples,
    folder: Path,
    runtime: str = "onnxruntime",
    precision: Precision | None = None,
) -> str:
    """Saves a ticket with its samples as `ticket/` and exports it as `bundle/`; the ticket's hash."""
    identity = ticket.save(folder / "ticket")
    samples.save(folder / "ticket" / "samples.npz")
    write_bundle(folder / "ticket", folder / "bundle", precision, runtime=runtime)
    return identity


def read_bundle(folder: Path) -> Bundle:
    """Opens a bundle and checks that its model is the one it was written with.

    Raises:
        HwticketsError: Missing, damaged or altered; names the file.
    """
    if not (folder / "model.json").is_file():
        raise HwticketsError(
            f"{folder} is no bundle (no model.json); name a folder that hwtickets export wrote"
        )
    facts = files.read_json(folder / "model.json", "bundle")
    unpack_bundle(folder)
    bundle = Bundle(folder, facts, *_expected(folder))
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


def _expected(folder: Path) -> tuple[Samples, NDArray[np.float32]]:
    # Bundles of before runners in C++ keep their samples in one file.
    earlier = folder / "samples.npz"
    place = earlier if earlier.is_file() and not (folder / "samples").exists() else folder / "samples"
    samples, arrays = read_samples(place) if place == earlier else read_arrays(place)
    if "expected" not in arrays or len(arrays["expected"]) != len(samples.inputs):
        raise HwticketsError(f"the samples {place} hold no expected outputs; export the ticket again")
    return samples, arrays["expected"]


def _of_ticket(ticket: Ticket, output_shape: tuple[int, ...], batch: int | str) -> dict[str, Any]:
    parts = ticket.architecture.sizes.get("outputs")
    return {
        "task": ticket.task["name"],
        "classes": ticket.task["classes"],
        "preprocessing": ticket.task["preprocessing"],
        "input": {"name": "x", "shape": [batch, *ticket.architecture.input_shape], "type": "float32"},
        "output": {
            "name": "y",
            "shape": [batch, *output_shape],
            "type": "float32",
            **({"parts": parts} if parts else {}),
        },
    }


def _tolerance(precision: str, kit: str) -> float:
    # TensorRT computes fp32 in TF32 where the GPU has it, which keeps as many digits as fp16.
    like_fp16 = kit == "tensorrt" and precision == "fp32"
    return TOLERANCES["fp16" if like_fp16 else precision]


def _remove_stale(folder: Path, place: Path, facts: dict[str, Any]) -> None:
    """Removes what an earlier bundle in `folder` had and the one in `place` has not."""
    if not (folder / "model.json").is_file():
        return
    for path in stale_files(folder, facts["kit"], facts["task"]):
        if not (place / path.name).exists():
            path.unlink()
