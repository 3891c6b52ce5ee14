"""Engines that the agent keeps: each beside what is known of it."""

import hashlib
import json
import os

from hwt_build import BUILD, build, tensorrt
from hwt_cuda import gpu
from hwt_engine import Engine
from hwt_files import read_bytes, sized
from hwt_write import write_bytes


def built(cache, model, spec, anew=False):
    """The name of a model's engine and its record, built if it is not there.

    The name stands for everything that an engine depends on: the model, what is asked of the builder, how it
    builds, TensorRT's version and the GPU. One that is built anew knows no times of earlier builds.
    """
    trt = tensorrt()
    key = [BUILD, model, spec, trt.__name__, trt.__version__, gpu()]
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    plan = cache.plan(name)
    if os.path.exists(plan) and os.path.exists(plan + ".json"):
        return name, json.loads(read_bytes(plan + ".json").decode("utf-8"))
    timings = None if anew else cache.path("timing.cache")
    data, record = build(read_bytes(cache.get(model)), spec, timings)
    cache.make_room(len(data))
    write_bytes(plan, data)
    record.update(key=name, layers=None, memory_bytes=None, **sized(plan))
    if record["gpu"]:
        record.update(Engine(data, {}).told())
    write_bytes(plan + ".json", json.dumps(record).encode("utf-8"))
    return name, record


def replace(cache, name, sha256):
    """Puts an engine that came with a bundle in the place of the one that was built here of its model."""
    plan = cache.plan(name)
    data = read_bytes(cache.get(sha256))
    record = json.loads(read_bytes(plan + ".json").decode("utf-8"))
    # trtexec has no such fields: it says of an engine what is asked of it in each run.
    told = Engine(data, {}).told() if "layers" in record and record["gpu"] else {}
    write_bytes(plan, data)
    record.update(sized(plan), **told)
    write_bytes(plan + ".json", json.dumps(record).encode("utf-8"))
