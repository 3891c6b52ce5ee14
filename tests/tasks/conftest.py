from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SAMPLE = Path(__file__).parent.parent / "data" / "fashion-mnist"


@pytest.fixture
def fashion_folder(tmp_path: Path) -> Path:
    """A copy of the Fashion-MNIST sample (200 training, 40 test images) that a test may damage."""
    return shutil.copytree(SAMPLE, tmp_path / "fashion")


@pytest.fixture
def image_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes DIR/PART/CLASS/N.png with an own brightness for each class, and returns DIR."""

    def write(mode: str = "RGB", parts: tuple[str, ...] = ("train", "val"), count: int = 10) -> Path:
        rng = np.random.default_rng(0)
        for part in parts:
            for label, name in enumerate(["cats", "dogs"]):
                class_folder = tmp_path / "images" / part / name
                class_folder.mkdir(parents=True)
                for index in range(count):
                    pixels = rng.integers(100 * label, 100 * label + 50, (20, 30, 3), dtype=np.uint8)
                    Image.fromarray(pixels).convert(mode).save(class_folder / f"{index}.png")
        return tmp_path / "images"

    return write
