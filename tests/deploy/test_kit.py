from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwtickets.deploy.kit import kit_files, kit_of, stale_files, write_kit

TASKS = ("classification", "segmentation", "keypoints")
FACTS: dict[str, Any] = {
    "task": "keypoints",
    "precision": "int8",
    "tolerance": 0.2,
    "classes": ["left\nhand", "right hand"],
    "preprocessing": {
        "resolution": [64, 48],
        "mean": [0.5, 0.25],
        "box_padding": 1.25,
        "layout": "NCHW",
        "clip": True,
        "names": ["a", "b"],
    },
    "input": {"name": "x", "shape": ["batch", 2, 64, 48]},
    "output": {"name": "y", "shape": ["batch", 2, 16, 12]},
}


@pytest.mark.parametrize(
    ("runtime", "kit"),
    [
        ("onnxruntime", "onnxruntime"),
        ("trtexec", "tensorrt"),
        ("tensorrt", "tensorrt"),
        ("openvino", "openvino"),
        ("else", "onnxruntime"),
    ],
)
def test_every_runtime_has_a_kit(runtime: str, kit: str) -> None:
    assert kit_of(runtime) == kit


@pytest.mark.parametrize("kit", ["onnxruntime", "openvino", "tensorrt"])
@pytest.mark.parametrize("task", TASKS)
def test_a_kit_holds_the_runner_of_one_task_and_all_that_it_imports(kit: str, task: str) -> None:
    found = kit_files(kit, task)
    assert {"README.md", "run.py", "network.py", f"{task}.py"} <= set(found)
    assert not {f"{other}.py" for other in TASKS if other != task} & set(found)
    assert all(path.is_file() for path in found.values())
    modules = {name.removesuffix(".py") for name in found if name.endswith(".py")}
    for name in modules:
        lines = found[f"{name}.py"].read_text().splitlines()
        imported = {line.split()[1] for line in lines if line.startswith(("import ", "from "))}
        ours = {word for word in imported if word.startswith("hwt_") or word in ("network", "pictures")}
        assert ours <= modules, f"{name}.py"


def test_what_programs_without_json_need_is_written_plainly(tmp_path: Path) -> None:
    write_kit(tmp_path, "onnxruntime", FACTS)
    assert (tmp_path / "labels.txt").read_text() == "left hand\nright hand\n"
    assert (tmp_path / "model.txt").read_text().splitlines() == [
        "task keypoints",
        "precision int8",
        "tolerance 0.2",
        "input_name x",
        "input_shape 1 2 64 48",
        "output_name y",
        "output_shape 1 2 16 12",
        "resolution 64 48",
        "mean 0.5 0.25",
        "box_padding 1.25",
    ]


@pytest.mark.parametrize("kit", ["onnxruntime", "tensorrt"])
def test_boards_get_a_runner_in_cpp_too(kit: str) -> None:
    assert {"cpp/CMakeLists.txt", "cpp/network.cpp", "cpp/main.cpp"} <= set(kit_files(kit, "keypoints"))


def test_what_another_task_and_runtime_left_is_stale(tmp_path: Path) -> None:
    write_kit(tmp_path, "tensorrt", {**FACTS, "task": "segmentation"})
    (tmp_path / "model.engine").write_bytes(b"x")
    (tmp_path / "notes.py").write_text("mine")
    stale = {path.name for path in stale_files(tmp_path, "onnxruntime", "keypoints")}
    assert {"segmentation.py", "model.engine", "hwt_engine.py"} <= stale
    assert not {"run.py", "network.py", "README.md", "notes.py"} & stale
