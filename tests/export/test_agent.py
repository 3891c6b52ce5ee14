"""The agent by itself, as any client would talk to it."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hwtickets.resources import resource_dir
from hwtickets.space.operators import GraphBuilder
from hwtickets.tables.skeleton import skeleton_model

AGENT = resource_dir("export") / "agent" / "agent.py"
#: Modules of the board, imported where they are used only.
OF_THE_BOARD = {"numpy"}


class Talk:
    """One agent and its lines."""

    def __init__(self, cache: Path, python: str = sys.executable, **environment: str) -> None:
        variables = {**os.environ, "HWTICKETS_AGENT_CACHE": str(cache), **environment}
        self.process = subprocess.Popen(
            [python, "-u", str(AGENT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables
        )
        self.hello = self._read()

    def ask(self, operation: str, **fields: Any) -> dict[str, Any]:
        """The answer, whatever it is."""
        return self.send(json.dumps({"id": 1, "op": operation, **fields}).encode())

    def send(self, line: bytes) -> dict[str, Any]:
        """The answer to any line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()
        return self._read()

    def result(self, operation: str, **fields: Any) -> Any:
        """The result of a request that is met."""
        answer = self.ask(operation, **fields)
        assert "result" in answer, answer
        return answer["result"]

    def open(self, **fields: Any) -> None:
        """Takes the board."""
        self.result("open", client={"token": "t", "label": "test"}, **fields)

    def put(self, content: bytes, *cuts: int) -> str:
        """Sends a file in pieces; its hash."""
        sha256 = hashlib.sha256(content).hexdigest()
        have = self.result("put", sha256=sha256, size=len(content))["have"]
        for end in (*cuts, len(content)):
            data = base64.b64encode(content[have:end]).decode()
            have = self.result("put", sha256=sha256, size=len(content), offset=have, data=data)["have"]
        return sha256

    def end(self) -> int:
        """Closes its input; its exit code."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        code = self.process.wait(10)
        self.process.stdout.close()
        return code

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        return message


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    talk = Talk(tmp_path / "cache")
    yield talk
    if talk.process.poll() is None:
        talk.end()


@pytest.mark.parametrize("path", sorted(AGENT.parent.glob("*.py")), ids=lambda path: path.stem)
def test_it_is_python_3_8_and_the_standard_library(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    names = [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = {path.stem for path in AGENT.parent.glob("*.py")}
    assert {name.partition(".")[0] for name in names} - OF_THE_BOARD - own <= set(sys.stdlib_module_names)


def test_it_runs_in_the_oldest_python(tmp_path: Path) -> None:
    python = shutil.which("python3.8")
    if python is None or subprocess.run([python, "-c", ""], capture_output=True).returncode:
        pytest.skip("there is no Python 3.8 here")
    talk = Talk(tmp_path / "cache", python)
    assert talk.hello["python"].startswith("3.8.")
    talk.open()
    assert talk.put(b"content")
    assert talk.result("facts")["in_use_by"]["label"] == "test"
    assert talk.end() == 0


def test_it_says_hello_and_ends_with_its_input(talk: Talk) -> None:
    assert talk.hello["hello"] == "hwtickets-agent"
    assert talk.hello["protocol"] == 1
    assert talk.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_empties_the_lock(talk: Talk, tmp_path: Path, number: signal.Signals) -> None:
    talk.open()
    assert json.loads((tmp_path / "cache" / "lock").read_text())["pid"] == talk.process.pid
    talk.process.send_signal(number)
    assert talk.process.wait(10) == 0
    assert (tmp_path / "cache" / "lock").read_text() == ""


def test_stop_ends_it(talk: Talk) -> None:
    assert talk.ask("stop") == {"id": 1, "result": {}}
    assert talk.process.wait(10) == 0


@pytest.mark.parametrize(
    "line", [b"no json", b"[1]", b'{"op": "facts"}', b"\xff\xfe", b'{"id": 1, "op": "no_such"}']
)
def test_a_wrong_line_is_answered_and_not_fatal(talk: Talk, line: bytes) -> None:
    assert talk.send(line)["code"] == "request"
    assert talk.result("facts")["cores"] > 0


@pytest.mark.parametrize("operation", ["put", "time", "profile", "run", "build", "power", "trtexec"])
def test_measuring_comes_after_opening(talk: Talk, operation: str) -> None:
    fields = {
        "sha256": "0" * 64,
        "size": 1,
        "models": {"a": "0" * 64},
        "model": "0" * 64,
        "inputs": {},
        "spec": {"runtime": "onnxruntime"},
        "runs": 1,
        "warmup": 1,
    }
    answer = talk.ask(operation, **fields)
    assert answer["code"] in ("request", "unavailable")
    assert "Traceback" not in json.dumps(answer)


def test_a_file_arrives_in_pieces_and_goes_on_after_a_break(talk: Talk, tmp_path: Path) -> None:
    content = os.urandom(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    talk.open()
    first = base64.b64encode(content[:300]).decode()
    talk.result("put", sha256=sha256, size=1000)
    assert talk.result("put", sha256=sha256, size=1000, offset=0, data=first) == {"have": 300}
    talk.process.kill()
    talk.process.wait()
    again = Talk(tmp_path / "cache")
    again.open()
    assert again.result("put", sha256=sha256, size=1000) == {"have": 300}
    assert again.put(content, 700) == sha256
    assert (tmp_path / "cache" / "models" / sha256).read_bytes() == content
    assert again.result("put", sha256=sha256, size=1000) == {"have": 1000}
    again.end()


@pytest.mark.parametrize(("left", "have"), [(bytes(1000), 1000), (b"1" * 1000, 0)])
def test_an_agent_killed_after_the_last_piece_leaves_a_file_to_finish_or_to_begin_anew(
    talk: Talk, tmp_path: Path, left: bytes, have: int
) -> None:
    content = bytes(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    talk.open()
    (tmp_path / "cache" / "models" / f"{sha256}.part").write_bytes(left)
    assert talk.result("put", sha256=sha256, size=1000) == {"have": have}
    assert talk.put(content) == sha256
    assert (tmp_path / "cache" / "models" / sha256).read_bytes() == content


def test_a_file_that_arrives_damaged_is_sent_anew(talk: Talk) -> None:
    talk.open()
    data = base64.b64encode(b"damaged").decode()
    answer = talk.ask("put", sha256="0" * 64, size=7, offset=0, data=data)
    assert answer["code"] == "damaged"
    assert talk.result("put", sha256="0" * 64, size=7) == {"have": 0}


def test_a_name_that_is_no_hash_reaches_no_file(talk: Talk) -> None:
    talk.open()
    assert talk.ask("put", sha256="../../etc/passwd", size=1)["code"] == "request"


def test_the_longest_unused_makes_room(tmp_path: Path) -> None:
    contents = [os.urandom(600_000) for _ in range(2)]
    for content in contents:
        # What a client has just sent is kept; another one's is not.
        talk = Talk(tmp_path / "cache")
        talk.open(cache_mb=1)
        sha256 = talk.put(content)
        talk.end()
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [sha256]


def test_what_is_about_to_be_used_does_not_make_room(talk: Talk) -> None:
    talk.open(cache_mb=1)
    talk.put(os.urandom(600_000))
    answer = talk.ask("put", sha256="0" * 64, size=600_000)
    assert answer["code"] == "space"
    assert "no space for 0.6 MB" in answer["error"]


def test_two_clients_never_hold_one_board(talk: Talk, tmp_path: Path) -> None:
    talk.open()
    other = Talk(tmp_path / "cache")
    answer = other.ask("open", client={"token": "u", "label": "other"})
    assert answer["code"] == "locked"
    assert answer["error"].startswith("in use by test since ")
    assert other.ask("put", sha256="0" * 64, size=1)["code"] == "request"
    other.end()
    last = Talk(tmp_path / "cache")
    assert last.result("facts")["in_use_by"]["label"] == "test"
    talk.end()
    last.result("open", client={"token": "u", "label": "last"})
    last.end()


def _tree(root: Path, **files: str) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def test_what_slows_a_board_down_is_told(tmp_path: Path) -> None:
    cooling = "sys/class/thermal/cooling_device"
    _tree(
        tmp_path,
        **{
            f"{cooling}0/type": "cpu-throttle-alert\n",
            f"{cooling}0/cur_state": "1\n",
            f"{cooling}1/type": "gpu-throttle-alert\n",
            f"{cooling}1/cur_state": "0\n",
            f"{cooling}2/type": "pwm-fan\n",
            f"{cooling}2/cur_state": "3\n",
            "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
            "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled": "50000\n",
        },
    )
    talk = Talk(tmp_path / "cache", HWTICKETS_AGENT_ROOT=str(tmp_path))
    assert talk.result("facts")["throttled"] == ["cpu-throttle-alert", "firmware 50005"]
    talk.end()


def test_a_board_that_lacks_current_is_noticed_by_its_counters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(AGENT.parent))
    monkeypatch.setenv("HWTICKETS_AGENT_ROOT", str(tmp_path))
    from hwt_clocks import throttling  # type: ignore[import-not-found]

    found = []
    for count in ("27", "27", "30"):
        _tree(tmp_path, **{"sys/class/hwmon/hwmon3/oc3_event_cnt": count})
        found.append(throttling())
    assert found[0] == found[1] != found[2]


def test_power_rails_are_the_channels_with_a_name_and_readings(tmp_path: Path) -> None:
    hwmon = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    readings = {"in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "800", "in2_label": "VDD_SOC"}
    readings |= {"in3_label": "NC", "in3_input": "0", "curr3_input": "0"}
    _tree(tmp_path, **{f"{hwmon}/{name}": text for name, text in readings.items()})
    # JetPack 4 calls them differently.
    iio = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
    older = {"rail_name_0": "POM_5V_IN", "in_voltage0_input": "5000", "in_current0_input": "400"}
    older |= {"rail_name_1": "POM_5V_GPU"}
    _tree(tmp_path, **{f"{iio}/{name}": text for name, text in older.items()})
    talk = Talk(tmp_path / "cache", HWTICKETS_AGENT_ROOT=str(tmp_path))
    assert talk.result("facts")["power_rails"] == ["VDD_IN", "POM_5V_IN"]
    talk.end()


def test_a_cache_that_cannot_be_written_is_an_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    talk = Talk(tmp_path / "file" / "cache")
    answer = talk.ask("facts")
    assert answer["code"] == "failed"
    assert "Not a directory" in answer["error"]
    talk.end()


def test_a_board_that_throttles_all_the_time_is_refused(tmp_path: Path) -> None:
    cooling = "sys/class/thermal/cooling_device0"
    _tree(tmp_path, **{f"{cooling}/type": "hot-surface-alert", f"{cooling}/cur_state": "1"})
    builder = GraphBuilder(3, 8, 8)
    builder.conv("stem", "conv", builder.graph.input, 16, 3)
    talk = Talk(tmp_path / "cache", HWTICKETS_AGENT_ROOT=str(tmp_path))
    talk.open()
    sha256 = talk.put(skeleton_model(builder.graph))
    data = base64.b64encode(bytes(4 * 3 * 8 * 8)).decode()
    answer = talk.ask(
        "time",
        models={"a": sha256},
        inputs={"x": {"dtype": "float32", "shape": [1, 3, 8, 8], "data": data}},
        spec={"runtime": "onnxruntime", "threads": 1},
        runs=5,
        warmup=1,
    )
    assert answer["code"] == "throttled"
    assert answer["error"] == "the board throttled in 3 of 3 turns (hot-surface-alert)"
    talk.end()
