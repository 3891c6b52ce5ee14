from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.deploy.bundle import read_bundle, write_bundle
from hwtickets.deploy.check import block_times, verify_bundle
from hwtickets.deploy.layers import OVERHEAD
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
    assert numerics.ok and numerics.max_rel_error < 1e-5 and numerics.agreement == {"top1_agreement": 1.0}
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
    data = (bundle / "samples" / "inputs.npy").read_bytes()
    (bundle / "samples" / "inputs.npy").write_bytes(data[: len(data) // 2])
    return "inputs.npy"


def _no_expected(bundle: Path) -> str:
    (bundle / "samples" / "expected.npy").unlink()
    return "expected.npy"


def _other_expected(bundle: Path) -> str:
    np.save(bundle / "samples" / "expected.npy", np.zeros((1, 10), dtype=np.float32))
    return "samples"


def _pickled_samples(bundle: Path) -> str:
    np.save(bundle / "samples" / "inputs.npy", np.array([{}], dtype=object))
    return "inputs.npy"


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
        _other_expected,
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


def test_a_bundle_with_samples_in_one_file_is_read(bundle: Path) -> None:
    read = read_bundle(bundle)
    shutil.rmtree(bundle / "samples")
    read.samples.save(bundle / "samples.npz", expected=read.expected)
    again = read_bundle(bundle)
    np.testing.assert_array_equal(again.samples.inputs, read.samples.inputs)
    np.testing.assert_array_equal(again.expected, read.expected)


def test_a_full_disk_leaves_the_earlier_bundle(ticket_folder: Path, bundle: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    with _room_for(10_000), pytest.raises(HwticketsError) as caught:
        write_bundle(ticket_folder, bundle)
    assert str(caught.value).startswith(f"cannot write {bundle}") and "\n" not in str(caught.value)
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before
    with _room_for(10_000), pytest.raises(HwticketsError):
        write_bundle(ticket_folder, tmp_path / "new" / "bundle")
    assert list((tmp_path / "new").iterdir()) == [], "nothing half-written"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@contextmanager
def _room_for(size_bytes: int) -> Iterator[None]:
    """Files cannot grow beyond a size: to a program, a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("place", ["taken", "taken/bundle"])
def test_a_place_that_cannot_be_written_is_one_line(ticket_folder: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "taken").write_text("x")
    with pytest.raises(HwticketsError, match=rf"^cannot write {tmp_path / place}: [^\n]*$"):
        write_bundle(ticket_folder, tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_bundle_for_another_runtime_takes_the_place_of_the_runners(
    ticket_folder: Path, bundle: Path
) -> None:
    write_bundle(ticket_folder, bundle, runtime="trtexec")
    assert read_bundle(bundle).facts["kit"] == "tensorrt"
    assert "TensorRT" in (bundle / "README.md").read_text() and (bundle / "hwt_engine.py").is_file()
    (bundle / "model.engine").write_bytes(b"of the old model")
    (bundle / "mine.txt").write_text("x")
    write_bundle(ticket_folder, bundle)
    assert "ONNX Runtime" in (bundle / "README.md").read_text()
    assert not (bundle / "hwt_engine.py").exists() and not (bundle / "model.engine").exists()
    assert (bundle / "mine.txt").is_file()


def test_only_the_runner_of_the_task_travels(exported: Path) -> None:
    assert {path.name for path in exported.glob("*.py")} == {
        *("run.py", "network.py", "pictures.py", "classification.py", "hwt_write.py"),
    }
    facts = read_bundle(exported).facts
    assert (exported / "labels.txt").read_text().splitlines() == facts["classes"]
    plain = dict(line.split(" ", 1) for line in (exported / "model.txt").read_text().splitlines())
    assert (plain["task"], plain["input_shape"], plain["output_shape"]) == (
        *("classification", "1 1 12 12", "1 10"),
    )
    assert [float(text) for text in plain["mean"].split()] == facts["preprocessing"]["mean"]
    assert float(plain["tolerance"]) == facts["tolerance"] == 1e-4
