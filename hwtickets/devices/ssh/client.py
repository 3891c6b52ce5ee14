"""An agent that comes back: after a lost connection or a reboot only the request under way is repeated."""

from __future__ import annotations

import base64
import contextlib
import getpass
import os
import platform
import sys
import time
import uuid
from collections.abc import Iterable
from typing import Any

from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.ssh.control import Here, Way, control_to
from hwtickets.devices.ssh.facts import BoardFacts
from hwtickets.devices.ssh.link import Link, LinkLostError, RefusedError
from hwtickets.errors import DeviceError, HwticketsError
from hwtickets.files import sha256_of

_PATIENCE_S = 300.0
#: For an agent that started and was gone before it could say what the board is.
_START_PATIENCE_S = 15.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_MOST_LOSSES = 3
_CHUNK_BYTES = 256 * 1024
_SHORT_LIMIT_S = 60
#: Says that two agents belong to one client, so that the new one may end the old one.
_TOKEN = uuid.uuid4().hex
#: Agents that hold their boards for this process, by device.
_held: dict[DeviceProfile, AgentClient] = {}


def hold(profile: DeviceProfile) -> AgentClient:
    """The one agent that holds a board for this process; close it as often as this was called.

    Raises:
        DeviceError: The board cannot be reached, or another client has it.
    """
    agent = _held.get(profile)
    if agent is None:
        agent = AgentClient(profile, holds=True)
        agent.facts()
        _held[profile] = agent
    agent.users += 1
    return agent


class AgentClient:
    """The agent of one device; the connection comes with the first request.

    Attributes:
        users: How often it must be closed until it gives the board back.

    Args:
        profile: The device.
        holds: Take the board, which measuring needs; without, facts can be asked for at any time.
        patience_s: How long a connection that was once there is waited for.
        cache_mb: Space for models and engines on the board.
    """

    def __init__(
        self,
        profile: DeviceProfile,
        holds: bool = False,
        patience_s: float = _PATIENCE_S,
        cache_mb: int = 512,
    ) -> None:
        self.users = 0
        self._profile = profile
        local = profile.connection == "local"
        self._name, self._host = profile.name, profile.host or "this machine"
        self._python = sys.executable if local else profile.python
        self._control: Way = Here() if local else control_to(profile.host)
        self._patience_s = patience_s
        self._cache_mb = cache_mb
        self._link: Link | None = None
        self._holds = holds
        self._board: BoardFacts | None = None

    def facts(self) -> BoardFacts:
        """What the board is and how it stands now."""
        return BoardFacts.parsed(self.call("facts", _SHORT_LIMIT_S))

    def call(
        self, operation: str, limit_s: float, contents: Iterable[bytes] = (), **fields: object
    ) -> dict[str, Any]:
        """The result of a request, asked again after a loss.

        Args:
            operation: What the agent shall do.
            limit_s: How long one attempt may take.
            contents: Of files that the board must have before.
            fields: What it does it with.

        Raises:
            DeviceError: The board cannot do it, or cannot be reached (again).
            HwticketsError: The model cannot be run there.
        """
        needed = list(contents)
        for losses in range(_MOST_LOSSES):
            try:
                link = self._connected()
                for content in needed:
                    self._put(link, content)
                return link.ask(operation, limit_s, **fields)
            except LinkLostError as lost:
                reason = lost.failure
                self._link = None
                self._control.renew()
                if not reason.passing or losses == _MOST_LOSSES - 1:
                    break
            except RefusedError as refused:
                raise self._refusal(refused) from refused
            except DeviceError:
                self._link = None
                raise
        raise DeviceError(
            f"device {self._name}: the agent was lost {losses + 1} times in '{operation}' ({reason.text});"
            " look for a process killed for memory: dmesg on the board"
        )

    def fetch(self, plan: str) -> bytes:
        """An engine that was built there, by the agent's name for it."""
        data, size = b"", 1
        while len(data) < size:
            piece = self.call("fetch", _SHORT_LIMIT_S, plan=plan, offset=len(data))
            data, size = data + base64.b64decode(piece["data"]), piece["size"]
        return data

    def replace(self, plan: str, engine: bytes) -> None:
        """Puts an engine in the place of one that was built there, by the agent's name for that."""
        self.call("adopt", _SHORT_LIMIT_S, [engine], plan=plan, sha256=sha256_of(engine))

    def close(self) -> None:
        """Gives the board back, when its last user does so."""
        self.users -= 1
        if self.users > 0:
            return
        _held.pop(self._profile, None)
        if self._link is not None:
            self._link.close()
        self._link = None

    def _connected(self) -> Link:
        if self._link is None:
            self._link = self._reached()
        return self._link

    def _reached(self) -> Link:
        """A new link; a board that was there before is waited for, as it may be rebooting."""
        begin_s, pause_s, seen = time.monotonic(), _FIRST_PAUSE_S, False
        while True:
            try:
                link = Link(self._control, self._host, self._python)
                seen = True
                with contextlib.ExitStack() as on_failure:
                    on_failure.callback(link.close)
                    self._introduce(link)
                    on_failure.pop_all()
                return link
            except LinkLostError as lost:
                self._control.renew()
                patience_s = self._patience_s if self._board else _START_PATIENCE_S if seen else 0.0
                if not lost.failure.passing or time.monotonic() + pause_s > begin_s + patience_s:
                    raise DeviceError(f"device {self._name}: {lost.failure.text}") from lost
            except RefusedError as refused:
                raise self._refusal(refused) from refused
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _introduce(self, link: Link) -> None:
        if self._holds:
            label = f"{getpass.getuser()}@{platform.node()} (process {os.getpid()})"
            client = {"token": _TOKEN, "label": label}
            link.ask("open", _SHORT_LIMIT_S, client=client, cache_mb=self._cache_mb)
        board = BoardFacts.parsed(link.ask("facts", _SHORT_LIMIT_S))
        changes = [] if self._board is None else self._board.changes(board)
        if changes:
            raise DeviceError(
                f"device {self._name} came back changed ({'; '.join(changes)}); set it as it was"
            )
        self._board = board

    def _put(self, link: Link, content: bytes) -> None:
        """Sends what the board lacks of a file."""
        sha256, size = sha256_of(content), len(content)
        have = link.ask("put", _SHORT_LIMIT_S, sha256=sha256, size=size)["have"]
        while have < size:
            data = base64.b64encode(content[have : have + _CHUNK_BYTES]).decode("ascii")
            have = link.ask("put", _SHORT_LIMIT_S, sha256=sha256, size=size, offset=have, data=data)["have"]

    def _refusal(self, refused: RefusedError) -> HwticketsError:
        from hwtickets.runtimes.tensorrt_forms import with_nearest_form

        # A model that cannot be loaded is no fault of the board.
        kind = HwticketsError if refused.code in ("model", "operator") else DeviceError
        return kind(with_nearest_form(f"device {self._name}: {refused.text}"))
