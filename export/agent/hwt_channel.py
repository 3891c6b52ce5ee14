"""The line to the client: requests in, answers out, and signs of life in between."""

import base64
import contextlib
import json
import os
import platform
import queue
import signal
import threading
import time

PROTOCOL = 1
ALIVE_EVERY_S = 5
IDLE_LIMIT_S = 600


class Channel:
    """JSON lines from and to the client. A thread reads, so that the client's end is noticed at any time."""

    def __init__(self, requests, answers):
        self._requests = os.fdopen(requests, "rb")
        self._answers = answers
        self._writing = threading.Lock()
        self._queue = queue.Queue()
        self._under_way = None

    def serve(self, agent):
        """Answers requests in order."""
        for work in (self._read, self._stay_alive):
            threading.Thread(target=work, daemon=True).start()
        self.send({"hello": "hwtickets-agent", "protocol": PROTOCOL, "python": platform.python_version()})
        while True:
            try:
                request = self._queue.get(timeout=IDLE_LIMIT_S)
            except queue.Empty:
                return
            if request is None:
                return
            self._under_way = (request.get("id"), time.monotonic())
            answer = agent.answer(request)
            self._under_way = None
            self.send(answer)

    def send(self, message):
        """Writes one line."""
        data = memoryview(json.dumps(message).encode("utf-8") + b"\n")
        with self._writing:
            while data:
                data = data[os.write(self._answers, data) :]

    def _read(self):
        for line in self._requests:
            try:
                request = json.loads(line.decode("utf-8"))
                number, operation = request["id"], request["op"]
            except (ValueError, KeyError, TypeError):
                self.send(
                    {"id": None, "error": "a request is no JSON object with id and op", "code": "request"}
                )
                continue
            if operation == "stop":
                self.send({"id": number, "result": {}})
                break
            self._queue.put(request)
        os.kill(os.getpid(), signal.SIGTERM)
        # A signal that comes right before the main thread waits for a request does not wake it.
        self._queue.put(None)

    def _stay_alive(self):
        while True:
            time.sleep(ALIVE_EVERY_S)
            under_way = self._under_way
            if under_way:
                with contextlib.suppress(OSError):
                    self.send({"id": under_way[0], "alive": round(time.monotonic() - under_way[1], 1)})


def packed(dtype, shape, data):
    """A tensor for the wire."""
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(data).decode("ascii")}


def unpacked(inputs):
    """Tensors from the wire, by name: (dtype, shape, bytes)."""
    return {
        name: (tensor["dtype"], tensor["shape"], base64.b64decode(tensor["data"]))
        for name, tensor in inputs.items()
    }
