from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwtickets.devices import get_device
from hwtickets.devices.profile import DeviceProfile


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        get_device("cpu").threads = 2  # type: ignore[misc]


def test_a_profile_is_a_key_whatever_it_says_of_its_sources() -> None:
    one = DeviceProfile(name="a", description="b", sources={"alignment": "guessed"})
    other = DeviceProfile(name="a", description="b", sources={"alignment": "measured"})
    assert {one: 1}[one] == 1 and one != other


def test_only_a_device_without_a_connection_is_predicted() -> None:
    measurable = {
        connection: DeviceProfile.model_validate(
            {"name": "a", "description": "b", "connection": connection, "host": host}
        ).measurable
        for connection, host in (("local", ""), ("ssh", "me@there"), ("none", ""))
    }
    assert measurable == {"local": True, "ssh": True, "none": False}
