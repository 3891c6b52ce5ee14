"""The board's own trtexec."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from hwt_clocks import CLOCK_FILES, throttling
from hwt_cuda import gpu
from hwt_files import read_bytes, sized, texts
from hwt_refused import Refused
from hwt_write import write_bytes


def find_trtexec():
    """The path of trtexec, or None."""
    usual = ["/usr/src/tensorrt/bin/trtexec", "/usr/local/tensorrt/bin/trtexec", "/opt/tensorrt/bin/trtexec"]
    return shutil.which("trtexec") or next((path for path in usual if os.access(path, os.X_OK)), None)


def run_trtexec(cache, request):
    """Runs trtexec as a request says; answers its exit code, what it printed and wrote, and throttling.

    Placeholders in the arguments become paths: {NAME} for each of `files`, {plan} for the engine,
    {timing_cache}, and {out:NAME} for what it writes. An engine that is there is not made again.
    """
    program = find_trtexec()
    if program is None:
        raise Refused("runtime", "trtexec was not found", "install TensorRT, or put it on the PATH")
    paths = {"{" + name + "}": cache.get(sha256) for name, sha256 in request["files"].items()}
    # Another version cannot read it, and its trtexec may end over that.
    timings = cache.path("trtexec-{}.cache".format(re.sub(r"\W", "", request.get("version", ""))))
    paths["{timing_cache}"], known = timings, modified(timings)
    plan = cache.plan(request["plan"]) if "plan" in request else ""
    making = request.get("makes_plan", False)
    if making and os.path.exists(plan) and os.path.exists(plan + ".json"):
        return json.loads(read_bytes(plan + ".json").decode("utf-8"))
    paths["{plan}"] = plan + ".part" if making else plan
    before, clocks, begin_s = throttling(), texts(CLOCK_FILES), time.monotonic()
    try:
        answer = executed(program, request, paths, cache.folder)
        if making and answer["code"] == 0:
            answer.update(seconds=round(time.monotonic() - begin_s, 3), gpu=gpu(), **sized(plan + ".part"))
            answer["timings_known"] = known is not None
            os.replace(plan + ".part", plan)
            write_bytes(plan + ".json", json.dumps(answer).encode("utf-8"))
    finally:
        # What a full disk cut off is of no use, and in the way.
        if making and os.path.exists(plan + ".part"):
            os.unlink(plan + ".part")
            if modified(timings) != known:
                os.unlink(timings)
    if making:
        return answer
    after = throttling()
    throttled = before != after or bool(after[0])
    return {**answer, "throttled": throttled, "clocks": [clocks, texts(CLOCK_FILES)]}


def modified(path):
    """When a file was written last, in ns; None where there is none."""
    return os.stat(path).st_mtime_ns if os.path.exists(path) else None


def executed(program, request, paths, folder):
    """One run in a new folder below another: its exit code, what it printed and wrote."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        arguments = [filled(argument, paths, place) for argument in request["arguments"]]
        code, printed = finished([program, *arguments], request["program_limit_s"], place)
        return {"code": code, "printed": printed, "files": texts_in(place)}


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
