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
import ctypes
import errno
import fcntl
import glob
import hashlib
import importlib
import json
import os
import platform
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from hwt_build import build, tensorrt
from hwt_cuda import gpu
from hwt_engine import Engine
from hwt_refused import Refused, first_line

try:
    from importlib import metadata
except ImportError:  # Python 3.7
    sys.exit("hwtickets-agent: Python 3.8 or later is needed, this is " + platform.python_version())

PROTOCOL = 1
ALIVE_EVERY_S = 5
IDLE_LIMIT_S = 600
HARD_EXIT_S = 8
#: An agent whose client was killed just now needs a moment to notice.
LOCK_PATIENCE_S = 4
#: Timed runs of one network in a row, after one untimed run that brings its data back into the caches.
BURST = 5
FEWEST_TURNS = 3
#: More discarded turns than kept ones: there is nothing left to trust.
MOST_THROTTLED_SHARE = 0.5
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
        name, record = self._built(request["model"], request["spec"])
        return {"seconds": round(time.monotonic() - begin_s, 3), "record": record, "plan": name}

    def do_fetch(self, request):
        """A piece of an engine, and how large it is in all."""
        self._held()
        path = self._cache.plan(request["plan"])
        with open(path, "rb") as file:
            file.seek(request["offset"])
            data = file.read(FETCHED_BYTES)
        return {"data": base64.b64encode(data).decode("ascii"), "size": os.path.getsize(path)}

    def do_time(self, request):
        """Times models side by side; answers every sample."""
        feed = self._feed(request["inputs"])
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
        nodes = runner.profile(self._feed(request["inputs"]), request["runs"])
        self._measured = True
        return {"nodes": nodes, "layers": runner.record.get("layers")}

    def do_run(self, request):
        """The outputs for one set of inputs."""
        key = (request["model"], json.dumps(request["spec"], sort_keys=True))
        if self._kept is None or self._kept[0] != key:
            self._kept = (key, self._runner(request["model"], request["spec"]))
        runner = self._kept[1]
        runner.feed(self._feed(request["inputs"]))
        return {"outputs": [packed(*output) for output in runner.outputs()]}

    def do_power(self, request):
        """Samples of every power rail, idle and while a model runs: [seconds, milliwatts of every rail]."""
        rails = power_rails()
        if not rails:
            raise Refused("unavailable", "no power sensor was found (looked for INA3221 in sysfs)")
        runner = self._runner(request["model"], request["spec"])
        runner.feed(self._feed(request["inputs"]))
        runner.once()
        idle, _ = sampled(rails, request["seconds"] / 2, request["interval_s"], lambda: time.sleep(0.01))
        busy, runs = sampled(rails, request["seconds"], request["interval_s"], runner.once)
        self._measured = True
        return {"rails": [label for label, _ in rails], "idle": idle, "busy": busy, "runs": runs}

    def do_cold(self, request):
        """A network's first run: loading it, the first inference, and the most memory meanwhile.

        What a network needs besides, the runtime and an engine, is there already.
        """
        self._held()
        self._kept = None
        forget_peak()
        before, begin_s = resident_bytes("VmRSS"), time.monotonic()
        runner = self._runner(request["model"], request["spec"])
        loaded_s = time.monotonic()
        runner.feed(self._feed(request["inputs"]))
        runner.once()
        first_s, peak = time.monotonic(), resident_bytes("VmHWM")
        self._measured = True
        return {
            "load_ms": 1e3 * (loaded_s - begin_s),
            "first_ms": 1e3 * (first_s - loaded_s),
            "peak_bytes": peak,
            "runtime_bytes": before,
        }

    def do_trtexec(self, request):
        """Runs the board's trtexec; placeholders in its arguments become paths.

        These are {NAME} for each of `files`, {plan} for the engine, {timing_cache}, and {out:NAME} for what
        it writes. An engine that is there is not made again.
        """
        self._held()
        program = find_trtexec()
        if program is None:
            raise Refused("runtime", "trtexec was not found", "install TensorRT, or put it on the PATH")
        paths = {"{" + name + "}": self._cache.get(sha256) for name, sha256 in request["files"].items()}
        paths["{timing_cache}"] = self._cache.path("timing.cache")
        plan = self._cache.plan(request["plan"]) if "plan" in request else ""
        making = request.get("makes_plan", False)
        if making and os.path.exists(plan) and os.path.exists(plan + ".json"):
            return json.loads(read_bytes(plan + ".json").decode("utf-8"))
        paths["{plan}"] = plan + ".part" if making else plan
        before, begin_s = throttling(), time.monotonic()
        with tempfile.TemporaryDirectory(dir=self._cache.folder) as folder:
            arguments = [filled(argument, paths, folder) for argument in request["arguments"]]
            code, printed = finished([program, *arguments], request["program_limit_s"], folder)
            files = texts_in(folder)
        after = throttling()
        self._measured = not making
        throttled = before != after or bool(after[0])
        answer = {"code": code, "printed": printed, "files": files, "throttled": throttled}
        if making and code == 0:
            answer.update(seconds=round(time.monotonic() - begin_s, 3), gpu=gpu(), **sized(plan + ".part"))
            os.replace(plan + ".part", plan)
            write_bytes(plan + ".json", json.dumps(answer).encode("utf-8"))
        return answer

    def _held(self):
        if self._lock is None:
            raise Refused("request", "measuring comes after the operation open")

    def _feed(self, inputs):
        return {
            name: (tensor["dtype"], tensor["shape"], base64.b64decode(tensor["data"]))
            for name, tensor in inputs.items()
        }

    def _runner(self, model, spec, profile=False):
        self._held()
        runtime = spec.get("runtime")
        if runtime == "onnxruntime":
            return OnnxRuntime(self._cache.get(model), spec, profile)
        if runtime == "tensorrt":
            name, record = self._built(model, spec)
            return Engine(read_bytes(self._cache.plan(name)), record)
        raise Refused("runtime", f"the agent does not know the runtime {runtime}")

    def _built(self, model, spec):
        """The name of a model's engine and its record, built if it is not there.

        The name stands for everything that an engine depends on: the model, what is asked of the builder,
        TensorRT's version and the GPU.
        """
        trt = tensorrt()
        key = [model, spec, trt.__name__, trt.__version__, gpu()]
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
        plan = self._cache.plan(name)
        beside = plan + ".json"
        if os.path.exists(plan) and os.path.exists(beside):
            return name, json.loads(read_bytes(beside).decode("utf-8"))
        data, record = build(read_bytes(self._cache.get(model)), spec, self._cache.path("timing.cache"))
        self._cache.make_room(len(data))
        write_bytes(plan, data)
        record.update(sized(plan), layers=Engine(data, {}).layers() if record["gpu"] else None)
        write_bytes(beside, json.dumps(record).encode("utf-8"))
        return name, record


# --- The cache and the lock -------------------------------------------------------------------------------


class Cache:
    """Models and engines on the board's disk, the longest unused deleted first."""

    def __init__(self):
        home = os.environ.get("HWTICKETS_AGENT_CACHE") or os.path.join(
            os.path.expanduser("~"), ".cache", "hwtickets-agent"
        )
        self.folder, self.limit_bytes, self.pinned = home, 512000000, set()
        for name in ("models", "plans"):
            os.makedirs(os.path.join(home, name), mode=0o700, exist_ok=True)

    def path(self, *parts):
        """A path in the cache."""
        return os.path.join(self.folder, *parts)

    def get(self, sha256):
        """The file of this content."""
        path = self._model(sha256)
        if not os.path.exists(path):
            raise Refused(
                "missing", "the cache is too small for what is measured at once", "make room on the board"
            )
        os.utime(path)
        self.pinned.add(path)
        return path

    def plan(self, name):
        """The path of an engine, whether it is there or not."""
        path = self.path("plans", checked_hash(name))
        if os.path.exists(path):
            os.utime(path)
        self.pinned.add(path)
        return path

    def put(self, sha256, size, offset, data):
        """Adds a piece at `offset` (None: only asks); answers how many bytes are there."""
        path = self._model(sha256)
        if os.path.exists(path):
            self.get(sha256)
            return size
        part = path + ".part"
        have = os.path.getsize(part) if os.path.exists(part) else 0
        if offset is None or offset != have:
            self.make_room(size - have)
            return have
        try:
            with open(part, "ab") as file:
                file.write(data)
                if have + len(data) >= size:
                    os.fsync(file.fileno())
        except OSError:
            # What a full disk cut off is of no use, and in the way.
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        if have + len(data) < size:
            return have + len(data)
        return self._finish(part, path, sha256, size)

    def make_room(self, size):
        """Deletes what was not used for longest, until `size` more bytes keep the limit."""
        found = [os.path.join(folder, name) for folder, _, names in os.walk(self.folder) for name in names]
        files = sorted(
            (os.path.getmtime(path), path) for path in found if os.path.dirname(path) != self.folder
        )
        used = sum(os.path.getsize(path) for _, path in files)
        for _, path in files:
            if used + size <= self.limit_bytes:
                break
            if path not in self.pinned:
                used -= os.path.getsize(path)
                os.unlink(path)
        free = shutil.disk_usage(self.folder).free
        if used + size > self.limit_bytes or size > free:
            text = "no space for {:.1f} MB in {} ({:.1f} MB free, {:.0f} MB allowed)"
            numbers = (size / 1e6, self.folder, free / 1e6, self.limit_bytes / 1e6)
            raise Refused("space", text.format(*numbers), "free some space on the board")

    def _finish(self, part, path, sha256, size):
        if hashlib.sha256(read_bytes(part)).hexdigest() != sha256:
            os.unlink(part)
            raise Refused("damaged", "a file arrived damaged", "try again")
        os.replace(part, path)
        self.pinned.add(path)
        return size

    def _model(self, sha256):
        return self.path("models", checked_hash(sha256))


def checked_hash(text):
    """A content hash, which is also a file's name."""
    if not re.match(r"[0-9a-f]{64}\Z", text):
        raise Refused("request", "that is no content hash")
    return text


class Lock:
    """One client at a time. The system frees the lock when its process ends, however it ends."""

    def __init__(self, path):
        self._path, self._file = path, None

    def holder(self):
        """Who has the board now, and who died having it; None where nobody does or did."""
        with open(self._path, "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return self._read(file) or {}, None
            return None, self._read(file)

    def take(self, client):
        """Takes the board, from its own client's earlier agent if need be."""
        self._file = open(self._path, "a+")  # noqa: SIM115, it stays open as long as the board is held
        begin_s = time.monotonic()
        while not self._locked():
            other = self._read(self._file) or {}
            own = other.get("token") == client["token"]
            if time.monotonic() - begin_s > (HARD_EXIT_S + 2 if own else LOCK_PATIENCE_S):
                raise Refused(
                    "locked", self._refusal(other), "wait for it, or end it: kill {}".format(other.get("pid"))
                )
            if own:
                # The client's agent of before, which has not noticed that the connection is gone.
                end_agent(other.get("pid"))
            time.sleep(0.1)
        self._file.truncate(0)
        json.dump({**client, "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}, self._file)
        self._file.flush()

    def release(self):
        """Gives the board back; an emptied file tells the next that nobody died."""
        if self._file:
            self._file.truncate(0)
            self._file.close()

    def _locked(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _refusal(self, other):
        return "in use by {} since {}".format(
            other.get("label", "another client"), other.get("since", "just now")
        )

    def _read(self, file):
        file.seek(0)
        try:
            return json.loads(file.read())
        except ValueError:
            return None


def end_agent(pid):
    """Asks another agent to end; a process that is none is left alone."""
    command = read_text(f"/proc/{pid}/cmdline", root="/") or ""
    if "hwtickets-agent" in command:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGTERM)


# --- Timing -----------------------------------------------------------------------------------------------


def time_interleaved(runners, runs, warmup, seconds):
    """Samples in ms of runners that take turns; turns in which the board throttled are discarded and counted.

    A runner has `once()`, `timed()` (ms), `clock` (what it reads) and `warmup_s`.
    """
    samples, discarded = {name: [] for name in runners}, 0
    begin_s = time.perf_counter()
    for runner in runners.values():
        warm_up(runner, warmup)
    turns = max(FEWEST_TURNS, -(-runs // BURST))
    for turn in range(turns):
        if seconds is not None and turn >= FEWEST_TURNS and time.perf_counter() - begin_s > seconds:
            turns = turn
            break
        names = list(runners) if turn % 2 else list(reversed(list(runners)))
        before = throttling()
        found = {name: burst(runners[name]) for name in names}
        after = throttling()
        if before != after or after[0]:
            discarded += 1
            continue
        for name in names:
            samples[name] += found[name]
    if discarded > MOST_THROTTLED_SHARE * turns:
        text = "the board throttled in {} of {} turns ({})".format(
            discarded, turns, ", ".join(after[0]) or "heat"
        )
        raise Refused("throttled", text, "cool it, or choose a lower power mode")
    clock = next(iter(runners.values())).clock
    return {"samples_ms": samples, "discarded": discarded * BURST, "clock": clock}


def warm_up(runner, runs):
    """Runs a network untimed, at least `runs` times."""
    begin_s = time.perf_counter()
    done = 0
    while done < runs or time.perf_counter() - begin_s < runner.warmup_s:
        runner.once()
        done += 1


def burst(runner):
    """Some timed runs in a row, in ms."""
    runner.once()
    return [round(runner.timed(), 6) for _ in range(BURST)]


class OnnxRuntime:
    """A network in ONNX Runtime on the CPU; with one thread its clock is that thread's CPU time."""

    warmup_s = 0.0

    def __init__(self, path, spec, profile=False):
        runtime = imported("onnxruntime", "python3 -m pip install onnxruntime")
        threads = int(spec.get("threads", 1))
        options = runtime.SessionOptions()
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if profile:
            self._folder = tempfile.TemporaryDirectory()
            options.enable_profiling = True
            options.profile_file_prefix = os.path.join(self._folder.name, "profile")
        try:
            self._session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            text = f"ONNX Runtime {runtime.__version__} cannot load the model: {first_line(error)}"
            raise Refused("model", text, "export it again") from error
        self._clock = time.thread_time_ns if threads == 1 else time.perf_counter_ns
        self.clock = "thread CPU time" if threads == 1 else "wall clock"
        self.record = {"runtime": runtime.__version__, "threads": threads}
        self._inputs = {}

    def feed(self, inputs):
        """Sets what the network is run on."""
        import numpy

        self._inputs = {
            name: numpy.frombuffer(data, dtype=dtype).reshape(shape)
            for name, (dtype, shape, data) in inputs.items()
        }

    def once(self):
        """Runs the network."""
        self._session.run(None, self._inputs)

    def timed(self):
        """Runs the network; the time in ms."""
        begin_ns = self._clock()
        self._session.run(None, self._inputs)
        return (self._clock() - begin_ns) / 1e6

    def outputs(self):
        """All outputs: (dtype, shape, bytes)."""
        found = self._session.run(None, self._inputs)
        return [(str(value.dtype), list(value.shape), value.tobytes()) for value in found]

    def profile(self, inputs, runs):
        """[name, kind, [microseconds of every run]] of every operator, in order of execution."""
        self.feed(inputs)
        for _ in range(runs):
            self.once()
        events = json.loads(read_bytes(self._session.end_profiling()).decode("utf-8"))
        nodes = {}
        for event in events:
            name = event["name"]
            if event.get("cat") == "Node" and name.endswith("_kernel_time"):
                name = name[: -len("_kernel_time")]
                nodes.setdefault(name, [name, event["args"]["op_name"], []])[2].append(event["dur"])
        return list(nodes.values())


# --- trtexec ----------------------------------------------------------------------------------------------


def find_trtexec():
    """The path of trtexec, or None."""
    usual = ["/usr/src/tensorrt/bin/trtexec", "/usr/local/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec"]
    return shutil.which("trtexec") or next((path for path in usual if os.access(path, os.X_OK)), None)


def filled(argument, paths, folder):
    """An argument with its placeholders replaced."""
    for placeholder, path in paths.items():
        argument = argument.replace(placeholder, path)
    return re.sub(r"\{out:(\w+)\}", lambda found: os.path.join(folder, found[1]), argument)


def finished(command, limit_s, folder):
    """Runs a program; its exit code and what it printed. It dies with this process."""
    libc = ctypes.CDLL(None)
    with open(os.path.join(folder, ".printed"), "w+b") as printed:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=lambda: libc.prctl(1, signal.SIGKILL),
        )
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            text = f"{os.path.basename(command[0])} did not end within {limit_s:.0f} s"
            raise Refused("slow", text, "look at the board's load") from None
        finally:
            process.kill()
            process.wait()
        printed.seek(0)
        return code, printed.read().decode("utf-8", "replace")


def texts_in(folder):
    """The content of every visible file of a folder, by name."""
    names = [name for name in os.listdir(folder) if not name.startswith(".")]
    return {name: read_bytes(os.path.join(folder, name)).decode("utf-8", "replace") for name in names}


# --- Facts ------------------------------------------------------------------------------------------------

#: What the client reads a board's facts from.
SYSTEM_FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/device-tree/model",
    "/etc/nv_tegra_release",
    "/usr/local/cuda/version.json",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor",
    "/sys/class/thermal/thermal_zone*/type",
    "/sys/class/thermal/thermal_zone*/temp",
)
CLOCK_FILES = (
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_min_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_max_freq",
    "/sys/class/devfreq/*/cur_freq",
    "/sys/class/devfreq/*/min_freq",
    "/sys/class/devfreq/*/max_freq",
)
PACKAGES = ("nvidia-jetpack", "libnvinfer8", "libnvinfer10", "libnvinfer11")


def facts(folder):
    """What the board is and how it stands; `folder` is the cache's."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "disk_free_bytes": shutil.disk_usage(folder).free,
        "files": texts(SYSTEM_FILES),
        "clocks": texts(CLOCK_FILES),
        "packages": packages(),
        "gpu": gpu(),
        "runtimes": {name: version for name, version in runtimes().items() if version},
        "nvpmodel": power_mode(),
        "throttled": throttling()[0],
        "power_rails": [label for label, _ in power_rails()],
    }


def texts(patterns):
    """The texts of the system files that match, by path."""
    found = {path: read_text(path) for pattern in patterns for path in found_in(pattern)}
    return {path: text for path, text in found.items() if text is not None}


def packages():
    """Versions of what the system's package manager installed."""
    found = {}
    for entry in (read_text("/var/lib/dpkg/status") or "").split("\n\n"):
        fields = dict(re.findall(r"^(Package|Status|Version): (.*)$", entry, re.MULTILINE))
        if fields.get("Package") in PACKAGES and fields.get("Status") == "install ok installed":
            found[fields["Package"]] = fields.get("Version")
    return found


def runtimes():
    """Versions of the runtimes; the path of trtexec."""
    return {
        "onnxruntime": package_version("onnxruntime"),
        "tensorrt": tensorrt_version(),
        "trtexec": find_trtexec(),
    }


def tensorrt_version():
    """Version of the Python module, or None; where there is no GPU, TensorRT-RTX builds but does not run."""
    own = package_version("tensorrt")
    if own or gpu() is None:
        return own
    rtx = package_version("tensorrt_rtx")
    return rtx and "RTX " + rtx


def package_version(name):
    """Version of a Python package, or None."""
    for distribution in (name, name + "-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    try:
        return importlib.import_module(name).__version__
    except Exception:  # A broken installation fails in ways of its own.
        return None


def power_mode():
    """What a Jetson says of its power mode, or None."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(["nvpmodel", "-q"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        return done.stdout.decode("utf-8", "replace")
    return None


def throttling():
    """What slows the board down now, and counters that grow when something did."""
    active = []
    for path in found_in("/sys/class/thermal/cooling_device*/type"):
        name = read_text(path)
        if re.search(r"throttle|alert", name or "") and read_number(path[: -len("type")] + "cur_state"):
            active.append(name)
    # A Raspberry Pi's firmware: under-voltage, capped, throttled, too warm.
    flags = read_text("/sys/devices/platform/soc/soc:firmware/get_throttled")
    if flags and int(flags, 16) & 0xF:
        active.append("firmware " + flags)
    return active, texts(["/sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"])


# --- Memory -----------------------------------------------------------------------------------------------


def resident_bytes(field):
    """A size of this process: "VmRSS" now, "VmHWM" at most; None where the system does not tell."""
    found = re.search(field + r":\s+(\d+) kB", read_text("/proc/self/status", root="/") or "")
    return int(found[1]) * 1024 if found else None


def forget_peak():
    """Begins a new "VmHWM"; where that is not allowed, the peak is that of all networks so far."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


# --- Power ------------------------------------------------------------------------------------------------


def power_rails():
    """[(label, (path of mV, path of mA))] of every INA3221 channel that has a name."""
    rails = []
    for path in found_in("/sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*/in[1-3]_label"):
        label, channel = read_text(path), os.path.basename(path)[2]
        paths = tuple(
            os.path.join(os.path.dirname(path), kind + channel + "_input") for kind in ("in", "curr")
        )
        if label and None not in map(read_number, paths):
            rails.append((label, paths))
    return rails


def milliwatts(paths):
    """Power of a rail now, or None where the sensor does not answer this time."""
    values = [read_number(path) for path in paths]
    return None if None in values else values[0] * values[1] / 1000


def sampled(rails, seconds, interval_s, work):
    """[[seconds, milliwatts of every rail], ...] while `work` is repeated, and how often it was."""
    samples, done, begin_s = [], threading.Event(), time.monotonic()

    def sample():
        while not done.wait(interval_s):
            samples.append([round(time.monotonic() - begin_s, 4), *(milliwatts(paths) for _, paths in rails)])

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    runs = 0
    try:
        while time.monotonic() - begin_s < seconds:
            work()
            runs += 1
    finally:
        done.set()
        thread.join()
    return samples, runs


# --- Small things -----------------------------------------------------------------------------------------


def rooted(path, root=None):
    """A system path, below another root in tests."""
    return os.path.join(root or os.environ.get("HWTICKETS_AGENT_ROOT", "/"), path.lstrip("/"))


def found_in(pattern):
    """System paths that match a pattern, without the root."""
    root = rooted("")
    return ["/" + os.path.relpath(path, root) for path in sorted(glob.glob(rooted(pattern)))]


def read_text(path, root=None):
    """The stripped text of a system file, or None."""
    try:
        with open(rooted(path, root), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def read_number(path):
    """The number in a system file, or None."""
    try:
        return int(read_text(path) or "")
    except ValueError:
        return None


def read_bytes(path):
    """The content of a file."""
    with open(path, "rb") as file:
        return file.read()


def sized(path):
    """Size and hash of a file."""
    data = read_bytes(path)
    return {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def write_bytes(path, data):
    """Writes a file so that it is whole or not there."""
    with open(path + ".part", "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)


def packed(dtype, shape, data):
    """A tensor for the wire."""
    return {"dtype": dtype, "shape": shape, "data": base64.b64encode(data).decode("ascii")}


def imported(name, advice):
    """A module of the board."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        text = f"{name} is missing in {sys.executable} ({first_line(error)})"
        raise Refused("runtime", text, advice) from error


def system_failure(error):
    """Code, text and hint for an error of the system."""
    reason = "{}: {}".format(error.strerror or first_line(error), error.filename or "")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return ("space", "no space left ({})".format(reason.rstrip(": ")), "free some space on the board")
    return ("failed", reason.rstrip(": "), "")


if __name__ == "__main__":
    main()
