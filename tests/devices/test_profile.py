from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwtickets.devices import get_device, list_devices
from hwtickets.errors import UsageError


def test_every_listed_device_is_found_by_its_name() -> None:
    assert [get_device(device.name) for device in list_devices()] == list_devices()


def test_the_cpu_blocks_channels_by_its_vector_width() -> None:
    assert get_device("cpu").alignment in (8, 16)


def test_threads_can_be_chosen() -> None:
    assert get_device("cpu", threads=3).threads == 3


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown device 'cpuu'; did you mean 'cpu'"):
        get_device("cpuu")


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        get_device("cpu").threads = 2  # type: ignore[misc]
