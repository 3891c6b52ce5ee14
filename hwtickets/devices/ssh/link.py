"""One agent at the far end of one ssh process: requests there, answers back, a time limit on every wait."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
import zlib
from typing import Any

from hwtickets.devices.ssh.control import CONNECT_LIMIT_S, Way
from hwtickets.devices.ssh.failures import Failure, explained
from hwtickets.errors import DeviceError
from hwtickets.resources import resource_dir

_PROTOCOL = 1
#: Python on the far side first reads the command that it becomes, then its program: no words but these two
#: constants go through the far shell.
_START = """python3 -u -c 'import json,os
h=json.loads(open(0,"rb",0,closefd=False).readline())
h[0]=os.path.expanduser(h[0])
os.execvp(h[0],h)'"""
#: The agent's files by module name come in one line; they import one another by a finder of their own.
_PROGRAM = """import base64,importlib.util,json,sys,zlib
SENT=json.loads(zlib.decompress(base64.b64decode(open(0,"rb",0,closefd=False).readline())))
class Sent:
    def find_spec(self,name,path=None,target=None):
        return importlib.util.spec_from_loader(name,self) if name in SENT else None
    def create_module(self,spec):
        return None
    def exec_module(self,module):
        exec(compile(SENT[module.__name__],module.__name__,"exec"),module.__dict__)
sys.meta_path.insert(0,Sent())
exec(compile(SENT["agent"],"hwtickets-agent","exec"))
"""
_HELLO_LIMIT_S = CONNECT_LIMIT_S + 30
#: The agent gives a sign of life every five seconds.
_SILENCE_LIMIT_S = 30
_END_LIMIT_S = 3
_MOST_NOISE_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 16


class LinkLostError(Exception):
    """The agent is gone; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class RefusedError(Exception):
    """The agent is there and says no.

    Attributes:
        code: The kind, e.g. "space".
        text: What is wrong and what to do.
    """

    def __init__(self, code: str, error: str, hint: str) -> None:
        self.code = code
        self.text = f"{error}; {hint}" if hint else error
        super().__init__(self.text)


class Link:
    """A running agent.

    Args:
        control: The way to its host.
        host: The destination, for messages.
        python: Python on the far side.

    Raises:
        LinkLostError: The agent did not start.
        DeviceError: ssh is missing here, or the agent speaks another protocol.
    """

    def __init__(self, control: Way, host: str, python: str) -> None:
        self._host, self._python = host, python
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115, closed with the link
        self._pending = b""
        self._number = 0
        try:
            self._process = subprocess.Popen(
                control.command(_START),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._printed,
                env={**os.environ, "LC_ALL": "C"},
                # An interrupt at the keyboard is this process's; it ends the agent in order.
                start_new_session=True,
                bufsize=0,
            )
        except FileNotFoundError as error:
            raise DeviceError("there is no ssh here; install it: sudo apt install openssh-client") from error
        assert self._process.stdin is not None and self._process.stdout is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._greet()

    def ask(self, operation: str, limit_s: float, **fields: object) -> dict[str, Any]:
        """The result of one request.

        Args:
            operation: What the agent shall do.
            limit_s: How long it may take in all.
            fields: What it does it with.

        Raises:
            RefusedError: The agent says no.
            LinkLostError: The connection or the agent is gone.
            DeviceError: It took longer than the limit.
        """
        self._number += 1
        deadline_s = time.monotonic() + limit_s
        self._send({"id": self._number, "op": operation, **fields})
        while True:
            if time.monotonic() > deadline_s:
                self.close()
                raise DeviceError(
                    f"'{operation}' on {self._host} took longer than {limit_s:.0f} s; look at its load"
                )
            answer = self._message(_SILENCE_LIMIT_S)
            if answer.get("id") != self._number or "alive" in answer:
                continue
            if "error" in answer:
                raise RefusedError(answer["code"], answer["error"], answer.get("hint", ""))
            result: dict[str, Any] = answer["result"]
            return result

    def close(self) -> None:
        """Ends the agent, by closing its input; one that stays is left to its own end."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._printed.close()

    def _greet(self) -> None:
        texts = {path.stem: path.read_text() for path in (resource_dir("export") / "agent").glob("*.py")}
        self._write(json.dumps([self._python, "-u", "-c", _PROGRAM]).encode() + b"\n")
        self._write(base64.b64encode(zlib.compress(json.dumps(texts).encode())) + b"\n")
        noise_bytes = 0
        while True:
            line = self._line(_HELLO_LIMIT_S)
            with contextlib.suppress(ValueError):
                hello = json.loads(line)
                if isinstance(hello, dict) and hello.get("hello") == "hwtickets-agent":
                    break
            # What a login script prints comes first.
            noise_bytes += len(line)
            if noise_bytes > _MOST_NOISE_BYTES:
                self.close()
                raise DeviceError(
                    f"{self._host} prints without end at log-in; silence its shell's start-up files"
                )
        if hello.get("protocol") != _PROTOCOL:
            self.close()
            raise DeviceError(f"the agent on {self._host} speaks another protocol; install hwtickets again")

    def _send(self, message: dict[str, object]) -> None:
        self._write(json.dumps(message).encode() + b"\n")

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self._to], [], _SILENCE_LIMIT_S)[1]:
                raise self._lost("it takes no more data")
            try:
                view = view[os.write(self._to, view[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError:
                raise self._lost() from None

    def _message(self, limit_s: float) -> dict[str, Any]:
        line = self._line(limit_s)
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self._lost(f"it sent no JSON: {line[:80]!r}")
        return message

    def _line(self, limit_s: float) -> bytes:
        parts = [self._pending]
        while b"\n" not in parts[-1]:
            if not select.select([self._from], [], [], limit_s)[0]:
                raise self._lost(f"nothing came for {limit_s:.0f} s")
            data = os.read(self._from, _CHUNK_BYTES)
            if not data:
                raise self._lost()
            parts.append(data)
        line, _, self._pending = b"".join(parts).partition(b"\n")
        return line

    def _lost(self, reason: str = "") -> LinkLostError:
        """Ends what is left of the connection and says why it is gone."""
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(0 if reason else _END_LIMIT_S)
        self._printed.seek(0)
        printed = self._printed.read().decode("utf-8", "replace")
        self.close()
        if reason:
            return LinkLostError(Failure(f"the connection to {self._host} is dead ({reason})", True))
        return LinkLostError(explained(code, printed, self._host, self._python))
