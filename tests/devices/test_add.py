from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.loopback import Loopback, missing_reason
from hwtickets.cli.main import run
from hwtickets.devices import get_device
from hwtickets.devices.add import add_device
from hwtickets.errors import UsageError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    return tmp_path


def test_a_board_that_is_reached_is_asked_what_it_is(tmp_path: Path) -> None:
    reason = missing_reason()
    if reason:
        pytest.skip(reason)
    with Loopback(tmp_path / "ssh") as loopback:
        loopback.add("board")
        added = add_device("mine", "board", python=sys.executable)
        lacking = add_device("lacking", "board", runtime="trtexec", python=sys.executable)
    assert added.unreached == ""
    assert added.profile.runtime == "onnxruntime"
    assert added.profile.sources["runtime"] == "asked of the board when it was added"
    assert lacking.profile.sources["runtime"].startswith("not on the board when it was added; found: ")
    assert added.profile.alignment == get_device("cpu").alignment
    assert added.profile.sources["alignment"].startswith("vector unit with")
    assert added.profile.description.endswith(" at board")
    assert get_device("mine") == added.profile


def test_a_board_that_is_not_reached_is_added_all_the_same(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "devices add orin --ssh me@orin.invalid --runtime trtexec --precision fp16 --precision int8"
    assert run(line.split()) == 0
    printed = capsys.readouterr().out
    assert "not asked: device orin: the host me@orin.invalid is not known" in printed
    assert "next: hwtickets devices check orin" in printed
    assert get_device("orin").precisions == ("fp16", "int8")
    assert (home / "devices" / "orin.yaml").is_file()


def test_a_board_that_is_not_reached_cannot_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "add", "orin", "--ssh", "me@orin.invalid"]) == 0
    assert run(["devices", "check", "orin"]) == 4
    assert "error: device orin: the host me@orin.invalid is not known; check the" in capsys.readouterr().err


def test_the_accelerator_of_a_board_is_a_device_of_its_own() -> None:
    line = "devices add orin-dla --ssh me@orin.invalid --runtime trtexec --dla"
    assert run(line.split()) == 0
    added = get_device("orin-dla")
    assert (added.dla, added.precisions) == (True, ("fp16",))


def test_the_workspace_of_engines_can_be_limited() -> None:
    line = "devices add orin --ssh me@orin.invalid --runtime trtexec --workspace-mb 256"
    assert run(line.split()) == 0
    assert get_device("orin").workspace_mb == 256
    assert run([*line.replace("trtexec", "onnxruntime").split()]) == 2


def test_the_result_can_be_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["devices", "add", "orin", "--ssh", "me@orin.invalid", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["profile"]["host"] == "me@orin.invalid"


@pytest.mark.parametrize(
    ("name", "host", "options", "reason"),
    [
        ("cpu", "orin", {}, "'cpu' is this machine's own name"),
        ("a/b", "orin", {}, "cannot name a device"),
        ("orin", "-oProxyCommand=x", {}, "is no destination"),
        ("orin", "me:secret@orin", {}, "a password does not belong"),
        ("orin", "orin", {"runtime": "tensort"}, "unknown runtime 'tensort'; did you mean 'tensorrt'"),
        ("orin", "orin", {"precisions": ["fp61"]}, "unknown precision 'fp61'; did you mean 'fp16'"),
        (
            "orin",
            "me@orin.invalid",
            {"dla": True},
            "device orin: onnxruntime has no DLA; the runtimes that do",
        ),
        (
            "orin",
            "me@orin.invalid",
            {"dla": True, "runtime": "tensorrt", "precisions": ["fp16", "fp32"]},
            "a DLA computes in fp16 and int8 only",
        ),
    ],
)
def test_a_wrong_request_writes_nothing(
    home: Path, name: str, host: str, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        add_device(name, host, **options)  # type: ignore[arg-type]
    assert not (home / "devices").exists()
