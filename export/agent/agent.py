#!/usr/bin/env python3
"""The agent: runs on a board and measures networks for a client, over JSON lines on stdin and stdout.

Standard library only, Python 3.8 and later. A client sends the files of this folder over its own ssh
connection and starts this one; nothing is installed. numpy, onnxruntime, tensorrt and trtexec are used if the
board has them.

A request is one line `{"id": 1, "op": "facts", ...}`; the answer is `{"id": 1, "result": ...}` or
`{"id": 1, "error": what, "hint": what to do, "code": kind}`. While a request takes long, a line
`{"id": 1, "alive": seconds}` comes every few seconds. The agent ends on the request "stop", when stdin
closes, on SIGTERM or SIGHUP, and after ten idle minutes.

Environment: HWTICKETS_AGENT_CACHE (default ~/.cache/hwtickets-agent) holds models and engines;
HWTICKETS_AGENT_ROOT (default /) is where /proc, /sys and /etc are looked for.
"""

import base64
import contextlib
import json
import os
import signal
import threading
import time

from hwt_cache import Cache
from hwt_channel import Channel, packed, unpacked
from hwt_clocks import CLOCK_FILES
from hwt_cold import first_run
from hwt_engine import Engine
from hwt_facts import facts
from hwt_files import read_bytes, texts
from hwt_lock import HARD_EXIT_S, Lock
from hwt_onnxruntime import OnnxRuntime
from hwt_plans import built, replace
from hwt_power import METERS, sampled
from hwt_refused import Refused, first_line, system_failure
from hwt_timing import time_interleaved
from hwt_trtexec import run_trtexec

#: Of an engine, in one answer.
FETCHED_BYTES = 1 << 18


def main():
    """Serves the client on stdin and stdout until it goes."""
    # What the runtimes print must not end up between the JSON lines.
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    channel = Channel(requests, answers)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)
    agent = Agent()
    try:
        channel.serve(agent)
    except BrokenPipeError:
        pass
    finally:
        agent.close()


def leave(*_):
    """Unwinds the main thread; a call that does not come back is not waited for."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    timer = threading.Timer(HARD_EXIT_S, os._exit, [1])
    timer.daemon = True
    timer.start()
    raise SystemExit(0)


class Agent:
    """What a client can ask for; every public operation is a method `do_<op>` of one request."""

    def __init__(self):
        self._lock = None
        self._cache = None
        self._kept = None
        self._measured = False

    def close(self):
        """Gives the board back."""
        self._kept = None
        if self._lock:
            self._lock.release()

    def answer(self, request):
        """The answer to a request, whatever goes wrong."""
        try:
            self._cache = self._cache or Cache()
            operation = getattr(self, "do_{}".format(request["op"]), None)
            if operation is None:
                raise Refused("request", "unknown operation {}".format(request["op"]))
            return {"id": request["id"], "result": operation(request)}
        except Refused as refused:
            failure = (refused.code, refused.error, refused.hint)
        except MemoryError:
            failure = ("memory", "out of memory", "close other programs on the board")
        except KeyError as error:
            failure = ("request", "{} asks for {}, which is not there".format(request["op"], error), "")
        except OSError as error:
            failure = system_failure(error)
        except Exception as error:  # A traceback would tear the protocol.
            failure = ("failed", f"{type(error).__name__}: {first_line(error)}", "")
        return {"id": request["id"], **dict(zip(("code", "error", "hint"), failure))}  # noqa: B905

    def do_open(self, request):
        """Takes the board for this client."""
        self._cache.limit_bytes = int(request.get("cache_mb", 512)) * 1000000
        lock = Lock(self._cache.path("lock"))
        lock.take(request["client"])
        self._lock = lock
        return {"cache": self._cache.folder}

    def do_facts(self, _):
        """What the board is and how it stands now; needs no lock."""
        holder, dead = Lock(self._cache.path("lock")).holder()
        return {**facts(self._cache.folder), "in_use_by": holder, "left_by": dead}

    def do_put(self, request):
        """Receives a file by its hash, from where it broke off; `have` is how much of it is there."""
        self._held()
        if self._measured:
            # A new set of files; those of the last measurement may make room for it.
            self._cache.pinned.clear()
            self._measured = False
        data = base64.b64decode(request.get("data", ""))
        return {"have": self._cache.put(request["sha256"], request["size"], request.get("offset"), data)}

    def do_build(self, request):
        """Gets a model ready to be timed, engine included."""
        begin_s = time.monotonic()
        if request["spec"].get("runtime") != "tensorrt":
            runner = self._runner(request["model"], request["spec"])
            return {"seconds": round(time.monotonic() - begin_s, 3), "record": runner.record}
        self._held()
        name, record = built(self._cache, request["model"], request["spec"], request.get("anew", False))
        return {"seconds": round(time.monotonic() - begin_s, 3), "record": record, "plan": name}

    def do_fetch(self, request):
        """A piece of an engine, and how large it is in all."""
        self._held()
        path = self._cache.plan(request["plan"])
        with open(path, "rb") as file:
            file.seek(request["offset"])
            data = file.read(FETCHED_BYTES)
        return {"data": base64.b64encode(data).decode("ascii"), "size": os.path.getsize(path)}

    def do_adopt(self, request):
        """Runs an engine that came with a bundle from now on, and not the one that was built here."""
        self._held()
        self._kept = None
        replace(self._cache, request["plan"], request["sha256"])
        return {}

    def do_time(self, request):
        """Times models side by side; answers every sample."""
        feed = unpacked(request["inputs"])
        runners = {name: self._runner(model, request["spec"]) for name, model in request["models"].items()}
        for runner in runners.values():
            runner.feed(feed)
        before = texts(CLOCK_FILES)
        result = time_interleaved(runners, request["runs"], request["warmup"], request.get("seconds"))
        self._measured = True
        return {**result, "clocks": [before, texts(CLOCK_FILES)]}

    def do_profile(self, request):
        """Times of the operators that the runtime executes: [name, kind, [microseconds of every run]]."""
        runner = self._runner(request["model"], request["spec"], profile=True)
        nodes = runner.profile(unpacked(request["inputs"]), request["runs"])
        self._measured = True
        return {"nodes": nodes, "layers": runner.record.get("layers")}

    def do_run(self, request):
        """The outputs for one set of inputs."""
        key = (request["model"], json.dumps(request["spec"], sort_keys=True))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self._runner(request["model"], request["spec"]))
        runner = self._kept[1]
        runner.feed(unpacked(request["inputs"]))
        return {"outputs": [packed(*output) for output in runner.outputs()]}

    def do_rails(self, request):
        """Names of the rails that a sensor shows."""
        with contextlib.closing(METERS[request["sensor"]]()) as meter:
            return {"rails": list(meter.labels)}

    def do_power(self, request):
        """Samples of every power rail, idle and while a model runs: [seconds, milliwatts of every rail]."""
        interval_s = request["interval_s"]
        with contextlib.closing(METERS[request["sensor"]]()) as meter:
            runner = self._runner(request["model"], request["spec"])
            runner.feed(unpacked(request["inputs"]))
            runner.once()
            idle, _ = sampled(meter, request["seconds"] / 2, interval_s, lambda: time.sleep(0.01))
            busy, runs = sampled(meter, request["seconds"], interval_s, runner.once)
        self._measured = True
        return {"rails": list(meter.labels), "idle": idle, "busy": busy, "runs": runs}

    def do_cold(self, request):
        """A network's first run: loading it, the first inference, and the most memory meanwhile."""
        self._held()
        self._kept = None
        feed = unpacked(request["inputs"])
        found = first_run(lambda: self._runner(request["model"], request["spec"]), feed)
        self._measured = True
        return found

    def do_trtexec(self, request):
        """Runs the board's trtexec; what it writes is sent along."""
        self._held()
        answer = run_trtexec(self._cache, request)
        self._measured = not request.get("makes_plan", False)
        return answer

    def _held(self):
        if self._lock is None:
            raise Refused("request", "measuring comes after the operation open")

    def _runner(self, model, spec, profile=False):
        self._held()
        runtime = spec.get("runtime")
        if runtime == "onnxruntime":
            return OnnxRuntime(self._cache.get(model), spec, profile)
        if runtime == "tensorrt":
            name, record = built(self._cache, model, spec)
            return Engine(read_bytes(self._cache.plan(name)), record)
        raise Refused("runtime", f"the agent does not know the runtime {runtime}")


if __name__ == "__main__":
    main()
