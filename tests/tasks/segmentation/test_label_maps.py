from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from hwtickets.errors import HwticketsError
from hwtickets.tasks.segmentation.cityscapes import ID_ENDING, TRAIN_ID_ENDING, label_ids
from hwtickets.tasks.segmentation.label_maps import IGNORED, LabelIds

IDS = LabelIds({0: 2, 1: IGNORED, 2: 0, 7: 1})


@given(arrays(np.uint8, (3, 5), elements=st.sampled_from([0, 1, 2, 7, 255])), st.sampled_from(["L", "P"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_id_becomes_its_class(tmp_path: Path, stored: np.ndarray, mode: str) -> None:
    image = Image.fromarray(stored)
    if mode == "P":
        image = Image.new("P", image.size)
        image.putdata(stored.ravel().tolist())
        image.putpalette([value for index in range(256) for value in (255 - index, index, 9)])
    image.save(tmp_path / "map.png")
    classes = {0: 2, 1: IGNORED, 2: 0, 7: 1, 255: IGNORED}
    expected = np.vectorize(classes.get)(stored)
    assert np.array_equal(np.asarray(IDS.read(tmp_path / "map.png")), expected)


@pytest.mark.parametrize("kind", [np.uint16, bool])
def test_wide_and_two_coloured_maps_are_read(tmp_path: Path, kind: type) -> None:
    Image.fromarray(np.array([[0, 1]]).astype(kind)).save(tmp_path / "map.png")
    assert np.asarray(LabelIds({0: 4, 1: 5}).read(tmp_path / "map.png")).tolist() == [[4, 5]]


@pytest.mark.parametrize(("kind", "number"), [(np.uint8, 5), (np.uint16, 263)])
def test_id_that_the_data_does_not_have_is_named(tmp_path: Path, kind: type, number: int) -> None:
    Image.fromarray(np.array([[0, number, 2]], dtype=kind)).save(tmp_path / "map.png")
    with pytest.raises(HwticketsError, match=rf"map\.png holds the class id {number}; .* 0 to 7, and 255"):
        IDS.read(tmp_path / "map.png")


def test_colours_are_no_classes(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "map.png")
    with pytest.raises(HwticketsError, match=r"map\.png holds colours \(RGB\)"):
        IDS.read(tmp_path / "map.png")


def test_cut_map_is_named(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 3, (64, 64), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(HwticketsError, match=r"map\.png is damaged") as failure:
        IDS.read(path)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("ending", "stored", "classes"),
    [
        (ID_ENDING, [0, 6, 7, 8, 11, 29, 32, 33], [IGNORED, IGNORED, 0, 1, 2, IGNORED, 17, 18]),
        (TRAIN_ID_ENDING, [0, 18, 255], [0, 18, IGNORED]),
    ],
)
def test_ids_of_cityscapes(tmp_path: Path, ending: str, stored: list[int], classes: list[int]) -> None:
    Image.fromarray(np.array([stored], np.uint8)).save(tmp_path / "map.png")
    assert np.asarray(label_ids(ending).read(tmp_path / "map.png")).tolist() == [classes]
