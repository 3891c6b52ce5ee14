"""Engines of a board's trtexec, which is a stand-in here, and of TensorRT-RTX on this machine."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from hwtickets.deploy.engine import build_engine, read_engine, use_engine
from hwtickets.deploy.sparse_account import sparse_account_on
from hwtickets.deploy.two_four import pruned
from hwtickets.devices import DeviceProfile, get_device, open_bench
from hwtickets.devices.fingerprint import differences, fingerprint_id
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.files import sha256_of
from hwtickets.runtimes.onnxruntime import Array
from hwtickets.runtimes.tensorrt_record import EngineBench, EngineSettings


@pytest.fixture
def path(model: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    return path


def test_a_board_builds_its_engine_and_it_comes_back_whole(
    trt_board: DeviceProfile, path: Path, tmp_path: Path
) -> None:
    record = build_engine(path, trt_board, tmp_path, EngineSettings("fp16"))
    assert record.runtime == "TensorRT 10.3.0"
    found = read_engine(tmp_path)
    assert (tmp_path / "model.engine").read_bytes().startswith(b"plan of ")
    assert (found["builder"], found["version"], found["strongly_typed"]) == ("trtexec", "10.3.0", True)
    assert found["layers"][0]["nodes"] == ["stem/conv/Conv", "stem/conv/Relu"]
    assert found["sparsity"] == {"eligible": ["stem/conv/Conv"], "picked": []}
    assert found["flags"] == ["SPARSE_WEIGHTS"] == list(record.flags)


def test_an_engine_of_another_version_or_gpu_is_refused(
    trt_board: DeviceProfile, path: Path, tmp_path: Path
) -> None:
    sidecar = tmp_path / "model.engine.json"
    build_engine(path, trt_board, tmp_path)
    whole = json.loads(sidecar.read_text())
    orin = {"name": "Orin", "compute_capability": "8.7"}
    with open_bench(trt_board) as bench:
        # A board without a GPU, like this one, has no engines but those of its stand-in.
        with pytest.raises(DeviceError, match=r"is for compute capability .*, trt has no GPU"):
            use_engine(tmp_path, bench)
        bench.fingerprint = {**bench.fingerprint, "gpu": "Orin (8.7)"}
        for known in ({"gpu": orin}, {"gpu": None, "targets": ["8.6", "8.7"]}):
            sidecar.write_text(json.dumps({**whole, **known}))
            use_engine(tmp_path, bench)
        for changed, text in (
            (
                {"gpu": {**orin, "name": "Orin NX"}},
                r"is for Orin NX \(8\.7\), trt has Orin \(8\.7\); export it",
            ),
            (
                {"gpu": orin, "version": "8.5.2", "runtime": "TensorRT 8.5.2"},
                "built by TensorRT 8.5.2, trt has 10.3.0",
            ),
        ):
            sidecar.write_text(json.dumps({**whole, **changed}))
            with pytest.raises(DeviceError, match=text) as caught:
                use_engine(tmp_path, bench)
            assert "\n" not in str(caught.value)


def test_what_is_measured_is_the_engine_of_the_bundle(
    trt_board: DeviceProfile, path: Path, tmp_path: Path, inputs: dict[str, Array]
) -> None:
    engine, sidecar = tmp_path / "model.engine", tmp_path / "model.engine.json"
    # A network of its own: the board keeps what replaces its engine, and other tests use that board.
    network = onnx.load(path)
    network.doc_string = "with an engine from elsewhere"
    onnx.save(network, path)
    build_engine(path, trt_board, tmp_path)
    engine.write_bytes(b"plan of another build")
    shipped = {**json.loads(sidecar.read_text()), "sha256": sha256_of(engine)}
    sidecar.write_text(json.dumps({**shipped, "gpu": {"name": "Orin", "compute_capability": "8.7"}}))
    with open_bench(trt_board) as bench:
        assert isinstance(bench, EngineBench)
        bench.fingerprint = {**bench.fingerprint, "gpu": "Orin (8.7)"}
        assert bench.engine(path).record.sha256 != shipped["sha256"]
        use_engine(tmp_path, bench)
        assert bench.engine(path).read() == b"plan of another build"
        assert bench.time({"one": path}, inputs, 30)["one"].runs == 30


def test_an_engine_for_the_accelerator_is_not_timed_on_the_gpu(
    trt_board: DeviceProfile, path: Path, tmp_path: Path
) -> None:
    sidecar = tmp_path / "model.engine.json"
    build_engine(path, trt_board, tmp_path)
    whole = json.loads(sidecar.read_text())
    orin = {"name": "Orin", "compute_capability": "8.7"}
    asked = {**whole["settings"], "dla": True}
    with open_bench(trt_board) as bench:
        bench.fingerprint = {**bench.fingerprint, "gpu": "Orin (8.7)"}
        sidecar.write_text(json.dumps({**whole, "gpu": orin, "settings": asked}))
        with pytest.raises(DeviceError, match="is for the DLA, trt computes on the GPU; export it for"):
            use_engine(tmp_path, bench)
        bench.fingerprint = {**bench.fingerprint, "accelerator": "DLA, the GPU for what it lacks"}
        use_engine(tmp_path, bench)
        sidecar.write_text(json.dumps({**whole, "gpu": orin}))
        with pytest.raises(DeviceError, match="is for the GPU, trt computes on the DLA"):
            use_engine(tmp_path, bench)


def test_the_workspace_of_a_device_is_that_of_its_engines(
    trt_board: DeviceProfile, path: Path, tmp_path: Path
) -> None:
    device = trt_board.model_copy(update={"workspace_mb": 64})
    assert build_engine(path, device, tmp_path).settings.workspace_mb == 64
    with open_bench(device) as bench, open_bench(trt_board) as other:
        assert isinstance(bench, EngineBench)
        assert bench.engine(path).record.settings.workspace_mb == 64
        assert fingerprint_id(bench.fingerprint) != fingerprint_id(other.fingerprint)


def test_what_a_runner_left_in_a_bundle_is_not_looked_at(
    trt_board: DeviceProfile, board: DeviceProfile, path: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.engine.json").write_text(json.dumps({"onnx_sha256": "0"}))
    with open_bench(trt_board) as bench:
        use_engine(tmp_path, bench)
    (tmp_path / "model.engine.json").write_text(json.dumps({"schema": 99}))
    with open_bench(board) as bench:
        use_engine(tmp_path, bench)


def test_a_second_client_gets_the_same_record_without_a_build(trt_board: DeviceProfile, path: Path) -> None:
    records = []
    for _ in range(2):
        with open_bench(trt_board, "fp16") as bench:
            assert isinstance(bench, EngineBench)
            records.append(bench.engine(path).record)
    assert records[0] == records[1]


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None,
    reason="needs tensorrt-rtx: pip install 'hwtickets[tensorrt-rtx]'",
)
def test_trtexec_and_the_python_module_give_the_same_record(
    trt_board: DeviceProfile, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWTICKETS_AGENT_CACHE", str(tmp_path / "cache"))
    there, here = (tmp_path / name for name in ("there", "here"))
    build_engine(path, trt_board, there)
    build_engine(path, get_device("cpu"), here)
    one, other = (read_engine(folder) for folder in (there, here))
    assert list(one) == list(other)
    for key in ("schema", "model_sha256", "onnx_sha256", "settings", "engine", "strongly_typed", "flags"):
        assert one[key] == other[key], key
    assert one["key"] != other["key"]


def test_an_accelerator_that_trtexec_does_not_offer_is_refused(trt_board: DeviceProfile, path: Path) -> None:
    with pytest.raises(DeviceError, match="this trtexec has no DLA"):
        build_engine(path, trt_board, path.parent, EngineSettings("fp16", dla=True))
    device = trt_board.model_copy(update={"dla": True})
    with open_bench(device, "fp16") as bench:
        accelerated = bench.fingerprint
        with pytest.raises(DeviceError, match="this trtexec has no DLA"):
            bench.time({"one": path}, {}, 10)
    with open_bench(trt_board, "fp16") as bench:
        assert differences(accelerated, bench.fingerprint) == [
            "accelerator: DLA, the GPU for what it lacks -> unknown"
        ]
        assert fingerprint_id(accelerated) != fingerprint_id(bench.fingerprint)


def test_an_operator_that_trtexec_refuses_is_named(trt_board: DeviceProfile, tmp_path: Path) -> None:
    node = onnx.helper.make_node("NoSuch", ["x"], ["y"], name="body/odd")
    ends = [onnx.helper.make_tensor_value_info(name, 1, [1, 4]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(HwticketsError) as caught:
        build_engine(tmp_path / "model.onnx", trt_board, tmp_path)
    assert "refuses the operator NoSuch (body/odd): it is not supported; replace it" in str(caught.value)
    assert not (tmp_path / "model.engine").exists()


def test_the_account_of_sparse_layers_is_that_of_the_engine(
    trt_board: DeviceProfile, model: bytes, inputs: dict[str, Array]
) -> None:
    wide = pruned(model)
    with open_bench(trt_board) as bench:
        assert sparse_account_on(bench, model, inputs) == []
        account = sparse_account_on(bench, wide, inputs)
    assert json.loads(json.dumps(account)) == account
    # The classifier holds 2:4; the stand-in tells nothing of its kernel, and its log picked none.
    assert [(entry["pattern"], entry["kernel"]) for entry in account][-1] == ("2:4", "dense")


def test_a_runtime_without_engines_has_no_account(
    board: DeviceProfile, make_profile: Callable[..., DeviceProfile], model: bytes, inputs: dict[str, Array]
) -> None:
    with open_bench(board) as bench:
        assert sparse_account_on(bench, pruned(model), inputs) == []
