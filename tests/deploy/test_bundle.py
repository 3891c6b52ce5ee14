from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle, write_bundle
from hwtickets.deploy.check import OVERHEAD, block_times, verify_bundle
from hwtickets.deploy.onnx_export import OPSET, block_of
from hwtickets.devices import get_device, open_bench
from hwtickets.errors import HwticketsError, NumericsError, UsageError
from hwtickets.files import sha256_of
from hwtickets.progress import Progress
from hwtickets.runtimes import load
from hwtickets.sparsity.ticket import Ticket, ticket_hash
from hwtickets.tasks.task import Task

BLOCKS = ("blocks.0", "blocks.1")


@pytest.fixture(scope="session")
def exported(ticket_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(ticket_folder, tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(exported, tmp_path / "bundle")


def _alter_model(bundle: Path, shift: float) -> None:
    """Shifts one bias and writes down the altered model's own hash: only the numbers give it away."""
    model = onnx.load(bundle / "model.onnx")
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [10])
    values = onnx.numpy_helper.to_array(bias) + np.float32(shift)
    bias.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), bias.name))
    onnx.save(model, bundle / "model.onnx")
    facts = json.loads((bundle / "model.json").read_text())
    facts["onnx_sha256"] = sha256_of(bundle / "model.onnx")
    (bundle / "model.json").write_text(json.dumps(facts))


@torch.no_grad()
def test_the_runtime_computes_what_pytorch_computes_on_real_images(
    ticket_folder: Path, exported: Path, tiny_task: Task
) -> None:
    module = Ticket.load(ticket_folder).module()
    session = load(exported / "model.onnx")
    images, _ = next(tiny_task.test_batches(40))
    actual = np.concatenate([session.run({"x": image[None].numpy()})[0] for image in images.contiguous()])
    expected = module(images).numpy()
    assert np.ptp(expected) > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_the_model_says_where_it_comes_from_and_what_it_needs(ticket_folder: Path, exported: Path) -> None:
    model = onnx.load(exported / "model.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["hwtickets.ticket"] == ticket_hash(ticket_folder)
    facts = json.loads(metadata["hwtickets.model"])
    assert facts["preprocessing"]["resolution"] == 12 and len(facts["preprocessing"]["mean"]) == 1
    assert (len(facts["classes"]), facts["task"]) == (10, "classification")
    assert facts["input"] == {"name": "x", "shape": [1, 1, 12, 12], "type": "float32"}
    assert facts == {k: v for k, v in read_bundle(exported).facts.items() if k != "onnx_sha256"}
    assert [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")] == [OPSET]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["x", "y"]


def test_names_of_nodes_lead_back_to_the_blocks(exported: Path) -> None:
    nodes = onnx.load(exported / "model.onnx").graph.node
    kinds: dict[str, list[str]] = {}
    for node in nodes:
        kinds.setdefault(block_of(node.name, BLOCKS), []).append(node.op_type)
    assert set(kinds) == {"stem", "blocks.0", "blocks.1", "head", "pool", "classifier"}
    assert kinds["stem"].count("Conv") == 1
    assert kinds["blocks.0"].count("Conv") == 6 and kinds["blocks.0"].count("Concat") == 1, "split"
    assert kinds["blocks.1"].count("Conv") == 4 and "Concat" not in kinds["blocks.1"], "merged"
    assert len({node.name for node in nodes}) == len(nodes)


def test_the_parts_of_the_latency_sum_to_it(exported: Path) -> None:
    image = read_bundle(exported).samples.inputs[:1]
    parts = block_times(exported / "model.onnx", BLOCKS, open_bench(get_device("cpu")), image, latency_ms=0.5)
    assert sum(float(part["ms"]) for part in parts) == pytest.approx(0.5)
    names = [str(part["name"]) for part in parts]
    assert {"stem", "blocks.0", "blocks.1", OVERHEAD} <= set(names)
    assert len(names) == len(set(names))
    assert all(float(part["ms"]) >= 0 for part in parts)


def test_a_bundle_is_verified_on_its_samples(bundle: Path) -> None:
    numerics, accuracy = verify_bundle(read_bundle(bundle), open_bench(get_device("cpu")))
    assert numerics.ok and numerics.max_rel_error < 1e-5 and numerics.top1_agreement == 1.0
    assert numerics.images == 20
    assert 0 <= accuracy <= 100
    assert verify_bundle(read_bundle(bundle), open_bench(get_device("cpu")), images=5)[0].images == 5


@pytest.mark.parametrize("shift", [0.1, float("nan")])
def test_another_network_in_the_bundle_is_found_by_its_numbers(
    bundle: Path, shift: float, capsys: pytest.CaptureFixture[str]
) -> None:
    _alter_model(bundle, shift)
    with pytest.raises(NumericsError):
        api.verify(bundle, "cpu", 20)
    assert run(["verify", str(bundle)]) == 5
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"error: {bundle / 'model.onnx'}: outputs differ from PyTorch")
    assert len(shown.err.splitlines()) == 1


def _damage_json(bundle: Path) -> str:
    (bundle / "model.json").write_text("{")
    return "model.json"


def _damage_model(bundle: Path) -> str:
    with (bundle / "model.onnx").open("ab") as file:
        file.write(b"\0")
    return "model.onnx"


def _no_model(bundle: Path) -> str:
    (bundle / "model.onnx").unlink()
    return "model.onnx"


def _damage_samples(bundle: Path) -> str:
    data = (bundle / "samples.npz").read_bytes()
    (bundle / "samples.npz").write_bytes(data[: len(data) // 2])
    return "samples.npz"


def _no_expected(bundle: Path) -> str:
    np.savez(bundle / "samples.npz", inputs=np.zeros((1, 1, 12, 12)), targets=np.zeros(1))
    return "samples.npz"


def _pickled_samples(bundle: Path) -> str:
    values = np.array([{}], dtype=object)
    np.savez(bundle / "samples.npz", inputs=values, targets=values, expected=values)
    return "samples.npz"


def _no_bundle(bundle: Path) -> str:
    shutil.rmtree(bundle)
    return "model.json"


def _no_precision(bundle: Path) -> str:
    facts = json.loads((bundle / "model.json").read_text())
    del facts["precision"]
    (bundle / "model.json").write_text(json.dumps(facts))
    return "model.json"


@pytest.mark.parametrize(
    "damage",
    [
        _damage_json,
        _damage_model,
        _no_model,
        _damage_samples,
        _no_expected,
        _pickled_samples,
        _no_bundle,
        _no_precision,
    ],
)
def test_a_damaged_bundle_is_one_line_that_names_the_file(
    bundle: Path, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    name = damage(bundle)  # type: ignore[operator]
    assert run(["verify", str(bundle)]) == 1
    error = capsys.readouterr().err
    assert name in error and str(bundle) in error
    assert len(error.splitlines()) == 1


def test_a_ticket_without_samples_cannot_be_exported(ticket_folder: Path, tmp_path: Path) -> None:
    ticket = shutil.copytree(ticket_folder, tmp_path / "ticket")
    (ticket / "samples.npz").unlink()
    with pytest.raises(HwticketsError, match=r"there are no samples at .*samples\.npz"):
        write_bundle(ticket, tmp_path / "bundle")


def test_an_unknown_format_names_what_is_known(ticket_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'onx'; did you mean 'onnx'"):
        api.export(ticket_folder, "onx", tmp_path, Progress(quiet=True))


def test_exporting_again_replaces_the_bundle(ticket_folder: Path, bundle: Path) -> None:
    _alter_model(bundle, 1.0)
    write_bundle(ticket_folder, bundle)
    assert verify_bundle(read_bundle(bundle), open_bench(get_device("cpu")))[0].ok


# Refuses the packages that the board does not have, then runs the runner as a program.
_WITHOUT_TORCH = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "hwtickets", "torchvision"):
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_the_runner_classifies_an_image_without_torch(
    ticket_folder: Path, bundle: Path, tiny_task: Task, tmp_path: Path
) -> None:
    bundle.rename(tmp_path / "board")
    board = tmp_path / "board"
    pixels = tiny_task.dataset.test.batch(torch.tensor([0]))[0, 0].numpy()  # type: ignore[attr-defined]
    Image.fromarray(pixels).save(board / "shoe.png")
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_TORCH, "run.py", "--top", "10", "shoe.png"],
        cwd=board,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    x, _ = next(tiny_task.test_batches(1))
    with torch.no_grad():
        chances = Ticket.load(ticket_folder).module()(x)[0].softmax(0)
    order = chances.argsort(descending=True)
    expected = ", ".join(f"{tiny_task.classes[i]} {100 * chances[i]:.1f} %" for i in order)
    assert done.stdout.strip() == f"shoe.png: {expected}"
