from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.errors import UsageError
from hwtickets.tasks import TaskSettings, build_task
from hwtickets.tasks.datasets import load_dataset


def test_unknown_data_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'fashion-mnist-small'"):
        load_dataset("fashion-mnist-smal")


def test_unknown_kind_of_folder_lists_the_known() -> None:
    with pytest.raises(UsageError, match="cifar10:DIR"):
        load_dataset("imagenet:/data")


@pytest.mark.parametrize("kind", ["fashion-mnist", "cifar10", "folder"])
def test_kind_without_a_folder_says_so(kind: str) -> None:
    with pytest.raises(UsageError, match=f"{kind}:DIR"):
        load_dataset(kind)


@pytest.mark.parametrize("kind", ["fashion-mnist", "cifar10", "folder"])
def test_missing_folder_is_named(kind: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere does not exist"):
        load_dataset(f"{kind}:{tmp_path / 'nowhere'}")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.zip").touch()
    with pytest.raises(UsageError, match=r"data\.zip' is a file, and a folder is needed"):
        load_dataset(f"folder:{tmp_path / 'data.zip'}")


def test_a_folder_without_its_kind_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is a folder; say what it holds: .*cifar10:DIR"):
        load_dataset(str(tmp_path))


def test_tiny_resolution_is_refused() -> None:
    with pytest.raises(UsageError, match="resolution 4 is too small"):
        load_dataset("fashion-mnist-small", resolution=4)


def test_task_is_built_with_its_settings() -> None:
    task = build_task("classification", TaskSettings("fashion-mnist-small", (14, 14), 50))
    assert task.input_shape == (1, 14, 14)
    assert task.steps_per_epoch == 200
    assert task.train_batch(0)[0].shape == (50, 1, 14, 14)


def test_unknown_task_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'classification'"):
        build_task("clasification", TaskSettings("fashion-mnist-small"))
