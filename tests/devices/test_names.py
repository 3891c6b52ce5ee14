from __future__ import annotations

from collections.abc import Iterator

import pytest

from hwtickets.devices import get_device, list_devices, name_note
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.registry import profile_path, save_profile
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.tables.shipped import ALIASES, shipped_devices


@pytest.fixture
def board() -> Iterator[DeviceProfile]:
    """A board of the user's own."""
    profile = DeviceProfile(name="orin", description="a board", connection="ssh", host="me@orin.local")
    save_profile(profile)
    yield profile
    profile_path("orin").unlink()


def test_every_listed_device_is_found_by_its_name(board: DeviceProfile) -> None:
    assert [get_device(device.name) for device in list_devices()] == list_devices()


def test_this_machine_the_users_boards_and_every_shipped_table_are_listed(board: DeviceProfile) -> None:
    shipped = {device.name for device in shipped_devices()}
    reached = {device.name: device.reached for device in list_devices()}
    assert reached["cpu"] == "this machine"
    assert reached["orin"] == "board at me@orin.local"
    assert shipped <= set(reached)
    assert {reached[name] for name in shipped} <= {"table only: predicted"}
    assert not any(get_device(name).measurable for name in shipped)


def test_a_shipped_device_is_used_as_its_first_table_was_measured() -> None:
    for device in shipped_devices():
        profile, table = get_device(device.name), device.default
        assert (profile.runtime, profile.precisions[0]) == (table.runtime, table.precision)
        assert profile.alignment == table.alignment and profile.sources["alignment"]


@pytest.mark.parametrize("alias", ALIASES)
def test_a_short_name_says_what_it_was_taken_for(alias: str) -> None:
    device = get_device(alias)
    assert device.name == ALIASES[alias]
    assert name_note(alias, device).startswith(f"device {alias}: taken as {device.name} (")
    assert name_note(device.name, device) == ""


def test_a_board_of_the_user_goes_before_a_short_name() -> None:
    save_profile(DeviceProfile(name="jetson", description="mine", connection="ssh", host="my-jetson"))
    try:
        assert get_device("jetson").host == "my-jetson"
    finally:
        profile_path("jetson").unlink()


def test_the_cpu_blocks_channels_by_its_vector_width() -> None:
    assert get_device("cpu").alignment in (8, 16)


def test_threads_can_be_chosen() -> None:
    assert get_device("cpu", threads=3).threads == 3


@pytest.mark.parametrize(("given", "meant"), [("cpuu", "cpu"), ("jetsn", "jetson")])
def test_an_unknown_device_names_the_nearest(given: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"unknown device '{given}'; did you mean '{meant}'"):
        get_device(given)


def test_a_damaged_file_of_one_device_does_not_hide_another(board: DeviceProfile) -> None:
    profile_path("orin").write_text("runtime: [")
    assert get_device("cpu").name == "cpu"
    with pytest.raises(HwticketsError, match=r"orin\.yaml"):
        get_device("orin")
