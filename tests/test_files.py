from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hwtickets import files
from hwtickets.errors import HwticketsError

_RECORDS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=8) | st.none(), max_size=3),
    max_size=4,
)
_SAME_FOLDER = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None
)


def _one_line(caught: pytest.ExceptionInfo[HwticketsError]) -> str:
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write_text(path, "old")
    files.write_text(path, "new µ")
    assert path.read_text(encoding="utf-8") == "new µ"
    assert [entry.name for entry in path.parent.iterdir()] == ["a.txt"]


def test_a_failure_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(KeyError), files.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_kill_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path; from hwtickets import files\n"
        "with files.atomic_path(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode < 0
    assert path.read_text() == "old"


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "a.json", Path("/proc/hwtickets/a.json")):
        with pytest.raises(HwticketsError) as caught:
            files.write_json(path, {})
        assert str(path) in _one_line(caught)
        with pytest.raises(HwticketsError, match="cannot write"):
            files.append_jsonl(path, {})


def test_a_full_disk_is_one_line() -> None:
    with (
        pytest.raises(HwticketsError, match="No space left on device") as caught,
        files.writing(Path("/dev/full")),
    ):
        Path("/dev/full").write_bytes(b"x" * 10)
    _one_line(caught)


def test_json_comes_back_and_damage_names_file_and_meaning(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": [1, "µ"]})
    assert files.read_json(path, "ticket") == {"a": [1, "µ"]}
    path.write_text('{"a": ')
    with pytest.raises(HwticketsError, match=r"ticket .*a\.json is damaged") as caught:
        files.read_json(path, "ticket")
    _one_line(caught)
    with pytest.raises(HwticketsError, match="there is no ticket at"):
        files.read_json(tmp_path / "b.json", "ticket")


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "a.json", float("nan"))


@_SAME_FOLDER
@given(records=_RECORDS, torn=st.binary(max_size=6).filter(lambda data: b"\n" not in data))
def test_a_torn_last_line_costs_that_line_only(
    tmp_path: Path, records: list[dict[str, Any]], torn: bytes
) -> None:
    path = tmp_path / "a.jsonl"
    path.unlink(missing_ok=True)
    for record in records:
        files.append_jsonl(path, record)
    with path.open("ab") as file:
        file.write(torn)
    assert files.read_jsonl(path) == records
    files.append_jsonl(path, {"after": 1})
    assert files.read_jsonl(path) == [*records, {"after": 1}]


@_SAME_FOLDER
@given(cut=st.integers(min_value=1, max_value=200))
def test_a_cut_anywhere_leaves_the_whole_lines_before_it(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    records = [{"step": step, "note": "µ" * step} for step in range(8)]
    lines = [json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records]
    data = b"".join(lines)[:cut]
    path.write_bytes(data)
    assert files.read_jsonl(path) == records[: data.count(b"\n")]


@pytest.mark.parametrize("bad", ["{", "[1]", "\x00"])
def test_a_damaged_line_before_the_last_names_its_number(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"a": 1}}\n{bad}\n{{"a": 2}}\n')
    with pytest.raises(HwticketsError, match="line 2") as caught:
        files.read_jsonl(path, "list of candidates")
    assert "list of candidates" in _one_line(caught)


def test_no_file_means_no_records(tmp_path: Path) -> None:
    assert files.read_jsonl(tmp_path / "a.jsonl") == []


def test_tensors_and_texts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    image = torch.arange(24.0).reshape(1, 2, 3, 4).to(memory_format=torch.channels_last)
    stored = {"image": image, "view": image[0, 1], "step": torch.tensor(7)}
    files.write_tensors(path, stored, {"kind": "ticket"})
    tensors, texts = files.read_tensors(path, "ticket")
    assert texts == {"kind": "ticket"}
    assert tensors.keys() == stored.keys()
    assert all(torch.equal(tensors[name], stored[name]) for name in stored)


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_cut_off_tensors_are_one_line(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.safetensors"
    files.write_tensors(path, {"a": torch.zeros(10)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(HwticketsError, match=r"checkpoint .*a\.safetensors is damaged") as caught:
        files.read_tensors(path, "checkpoint")
    _one_line(caught)


def test_missing_tensors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(HwticketsError, match="there is no checkpoint at"):
        files.read_tensors(tmp_path / "a.safetensors", "checkpoint")


def test_bytes_and_file_have_the_same_hash(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_of(tmp_path / "a") == files.sha256_of(b"abc")
    assert files.sha256_of(b"abc").startswith("ba7816bf")


def test_a_folder_belongs_to_one_process_until_that_ends(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hwtickets.files import FolderLock\n"
        "with FolderLock(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(HwticketsError, match=f"in use by process {other.pid}") as caught:
            files.FolderLock(tmp_path).__enter__()
        _one_line(caught)
        other.kill()
    with files.FolderLock(tmp_path):
        pass
    with files.FolderLock(tmp_path):
        pass


def test_a_lock_where_nothing_can_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HwticketsError, match="cannot write"), files.FolderLock(tmp_path / "file" / "run"):
        pass
