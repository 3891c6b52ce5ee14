from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwtickets.cli.main import run
from hwtickets.devices.registry import save_profile, user_device_names
from tests.devices.test_registry import home, orin  # noqa: F401


def test_a_device_is_forgotten_and_its_tables_stay(home: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    path = save_profile(orin())
    own, another = home / "tables" / "orin-0123456789", home / "tables" / "orin-nano-0123456789"
    for folder in (own, another):
        folder.mkdir(parents=True)
    assert run(["devices", "remove", "orin"]) == 0
    assert capsys.readouterr().out == f"removed: {path}\nits tables stay: {own}\n"
    assert user_device_names() == [] and own.is_dir() and another.is_dir()


def test_a_damaged_device_can_be_removed() -> None:
    save_profile(orin()).write_text("{")
    assert run(["devices", "remove", "orin", "--json"]) == 0
    assert user_device_names() == []


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("orni", "unknown device of your own 'orni'; did you mean 'orin'? Known: orin."),
        ("../orin", "unknown device of your own '../orin'; did you mean 'orin'?"),
        ("cpu", "'cpu' is this machine and cannot be removed; only what 'devices add' wrote can: orin"),
        ("jetson", "'jetson' is described by a shipped table and cannot be removed"),
    ],
)
def test_what_was_not_added_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], name: str, reason: str
) -> None:
    path = save_profile(orin())
    assert run(["devices", "remove", name]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"error: {reason}") and text.count("\n") == 1
    assert path.is_file()


def test_adding_a_name_again_replaces_the_device_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "add", "orin", "--ssh", "me@oriin.invalid"]) == 0
    assert "replaced" not in capsys.readouterr().out
    assert run(["devices", "add", "orin", "--ssh", "me@orin.invalid"]) == 0
    assert "replaced: the orin of before (me@oriin.invalid)" in capsys.readouterr().out
    assert run(["devices", "add", "orin", "--ssh", "me@orin.invalid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replaced"] == "me@orin.invalid"
