from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hwtickets.devices import DeviceProfile, get_device, list_devices
from hwtickets.devices.here import devices_here
from hwtickets.devices.registry import load_profile, profile_path, save_profile, user_device_names
from hwtickets.errors import HwticketsError, UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    return tmp_path


def orin() -> DeviceProfile:
    return DeviceProfile(
        name="orin",
        description="a board",
        connection="ssh",
        host="me@orin.local",
        runtime="trtexec",
        precisions=("fp32", "fp16"),
    )


def test_a_profile_comes_back_as_it_was_written(home: Path) -> None:
    path = save_profile(orin())
    assert path == home / "devices" / "orin.yaml"
    assert load_profile("orin") == get_device("orin") == orin()
    assert user_device_names() == ["orin"]


def test_the_users_devices_are_on_the_list_after_this_machine() -> None:
    save_profile(orin())
    names = [device.name for device in list_devices()]
    assert names[: len(devices_here()) + 1] == [*devices_here(), "orin"]


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "-x", "a b", "x" * 65, "ä"])
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a device"):
        profile_path(name)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no: [", "damaged"),
        ("- a list", "it holds no keys"),
        ("description: x\nalignment: many", "alignment: "),
        ("description: x\nhots: orin", "hots: Extra inputs"),
        ("description: x\nconnection: ssh\nhost: -oProxyCommand=x", "host: .*is no destination"),
        ("description: x\nconnection: ssh", "an ssh connection needs a host"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong_in_it(text: str, reason: str) -> None:
    path = save_profile(orin())
    path.write_text(text)
    with pytest.raises(HwticketsError, match=rf"orin\.yaml is damaged: .*{reason}|{reason}") as caught:
        load_profile("orin")
    assert "\n" not in str(caught.value)


def test_a_damaged_file_does_not_stand_in_the_way_of_other_devices() -> None:
    save_profile(orin()).write_text("{")
    assert get_device("cpu").name == "cpu"


def test_the_file_holds_no_more_than_the_profile() -> None:
    written = yaml.safe_load(save_profile(orin()).read_text())
    assert {"name", "password"} & set(written) == set()


def test_patterns_that_a_device_runs_faster_are_written_as_they_are_called(home: Path) -> None:
    path = save_profile(orin())
    text = path.read_text().replace("sparse_patterns: []", "sparse_patterns: [2:4, block-1x16]")
    path.write_text(text)
    assert get_device("orin").sparse_patterns == ("2:4", "block-1x16")
    path.write_text(text.replace("block-1x16", "blocks"))
    with pytest.raises(
        HwticketsError, match=r"orin.yaml is damaged: sparse_patterns: .*unknown mask pattern"
    ):
        get_device("orin")
