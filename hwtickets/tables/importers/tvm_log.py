"""TVM's tuning logs, TopHub's included: one record a line, the latency of one operator with one schedule.

autotvm 0.2: `{"input": [target, task, arguments, {}], "result": [[seconds, ...], error, ...], ...}`; 0.1 has
the keys `i`, `r` and `v`. Several records of one operator are several schedules; the fastest counts.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from hwtickets.errors import UsageError
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables.importers.collected import Collected, Found
from hwtickets.tables.importers.sources import Source, whole_numbers

_PRECISIONS = {"float32": "fp32", "float16": "fp16", "int8": "int8"}
_CONV = re.compile(r"topi_nn_conv2d|conv2d_nchw\w*\.\w+|conv2d_NCHWc\.\w+", re.ASCII)
_DEPTHWISE = re.compile(r"topi_nn_depthwise_conv2d_nchw|depthwise_conv2d_nchw\w*\.\w+", re.ASCII)
_DENSE = re.compile(r"topi_nn_dense|dense_\w+\.\w+|dense\.\w+", re.ASCII)
_MODEL = re.compile(r"-model=(\S+)")


@dataclass(frozen=True)
class _Record:
    """One line: where it is, what was tuned, and what came out."""

    line: int
    target: str
    task: str
    arguments: list[Any]
    seconds: list[Any]
    error: int


def recognises(source: Source) -> bool:
    """Whether the first record of a source has the keys of such a log."""
    head = source.data[:4096]
    return (b'"input"' in head and b'"result"' in head) or (b'"i"' in head and b'"r"' in head)


def collect(source: Source, select: str | None, precision: str, batch: int = 1) -> Collected:
    """Reads the operators of one device.

    Args:
        source: The log.
        select: A part of the target that only one device's has, e.g. "1080ti".
        precision: Operators of other ones are left out.
        batch: Images at once; operators with another number are left out.

    Raises:
        HwticketsError: A line is damaged.
        UsageError: The log is of several devices and none is selected, or of none like that.
    """
    collected = Collected("s, times 1000")
    records = list(_records(source))
    device = _device(source, records, select)
    for record in records:
        if _device_of(record.target) != device:
            collected.skip("tuned for another device")
        elif record.error != 0:
            collected.skip("failed while it was tuned")
        else:
            _add(collected, source, record, precision, batch)
    return collected


def _records(source: Source) -> Iterator[_Record]:
    for number, text in enumerate(source.text().splitlines(), 1):
        if not text.strip() or text.startswith("#"):
            continue
        record = source.json(text, number)
        fields = record if isinstance(record, dict) else {}
        inputs: Any = fields.get("input", fields.get("i"))
        result: Any = fields.get("result", fields.get("r"))
        if not (_begins(inputs, str, str, list) and _begins(result, list, int)):
            raise source.fault("it is not a record of autotvm 0.1 or 0.2", number)
        yield _Record(number, inputs[0], inputs[1], inputs[2], result[0], result[1])


def _begins(values: Any, *kinds: type) -> bool:
    """Whether a list begins with values of these kinds."""
    return (
        isinstance(values, list)
        and len(values) >= len(kinds)
        and all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=False))
    )


def _device_of(target: str) -> str:
    model = _MODEL.search(target)
    return model[1] if model else target


def _device(source: Source, records: list[_Record], select: str | None) -> str:
    counts = Counter(_device_of(record.target) for record in records)
    if not counts:
        raise source.fault("it holds no records")
    fitting = [name for name in counts if select is None or select in name]
    if select in counts:
        return str(select)
    if len(fitting) == 1:
        return fitting[0]
    asked = f"no device like '{select}'" if not fitting else f"{len(fitting)} devices"
    shown = ", ".join(f"{name} ({count})" for name, count in counts.most_common(12))
    raise UsageError(f"{source.path} holds {asked}; choose one with --select: {shown}")


def _add(collected: Collected, source: Source, record: _Record, precision: str, batch: int) -> None:
    name = f"{record.task} ({record.target})"
    if not record.seconds:
        raise source.fault("it holds no time", record.line)
    costs_ms = [
        source.milliseconds(1000 * cost if type(cost) in (int, float) else cost, name, record.line)
        for cost in record.seconds
    ]
    if min(costs_ms) <= 0:
        raise source.fault(f"the latency of {name} is 0, not a number of milliseconds", record.line)
    spec = _spec(source, record, precision, batch)
    if isinstance(spec, str):
        collected.skip(spec)
        return
    spread_ms = stdev(costs_ms) / math.sqrt(len(costs_ms)) if len(costs_ms) > 1 else 0.0
    collected.add(source, spec, Found(fmean(costs_ms), spread_ms, len(costs_ms)), record.line)


def _spec(source: Source, record: _Record, precision: str, batch: int) -> OperatorSpec | str:
    """The operator of a record, or why there is none."""
    convolution = _CONV.fullmatch(record.task) or _DEPTHWISE.fullmatch(record.task)
    if not (convolution or _DENSE.fullmatch(record.task)):
        return f"the task {record.task:.60}"
    tensors = [_tensor(argument) for argument in record.arguments[:2]]
    if len(tensors) < 2 or tensors[0] is None or tensors[1] is None:
        raise source.fault(f"the tensors of {record.task} are missing", record.line)
    (data, kind), (weights, _) = tensors[0], tensors[1]
    found = _PRECISIONS.get(kind, kind[:20])
    if found != precision:
        return f"computed in {found}, not {precision}"
    packed = len(data) != len(weights) or len(data) != (4 if convolution else 2)
    if packed or any(isinstance(rest, str) and rest.startswith("NH") for rest in record.arguments):
        return "packed into another layout than NCHW"
    if data[0] != batch:
        return f"batch {data[0]} instead of {batch}"
    if not convolution:
        return (
            OperatorSpec("linear", data[1], weights[0])
            if data[1] == weights[1]
            else "a product that is no layer"
        )
    depthwise = _DEPTHWISE.fullmatch(record.task) is not None
    return _convolution(data, weights, record.arguments[2:], depthwise)


def _convolution(data: list[int], weights: list[int], rest: list[Any], depthwise: bool) -> OperatorSpec | str:
    _, c_in, height, width = data
    strides = whole_numbers(rest[0], 2) if rest else None
    if strides is None or strides[0] != strides[1] or weights[2] != weights[3]:
        return "kernel or stride that is not square"
    # Older records have no dilation; where there is one it comes after the padding.
    if len(rest) > 2 and isinstance(rest[2], list) and rest[2] != [1, 1]:
        return "dilation"
    if depthwise and (weights[0] != c_in or weights[1] != 1):
        return "more than one filter for a channel"
    if not depthwise and weights[1] != c_in:
        return "weights that do not fit the input"
    padding = rest[1] if len(rest) > 1 else None
    if not _keeps_the_size(padding, weights[2], strides[0], height, width):
        return "padding that changes the size of the image"
    return OperatorSpec(
        "conv", c_in, weights[0], weights[2], strides[0], c_in if depthwise else 1, height, width
    )


def _keeps_the_size(padding: Any, kernel: int, stride: int, height: int, width: int) -> bool:
    if padding == "SAME":
        return True
    if not isinstance(padding, list) or not all(type(side) is int and side >= 0 for side in padding):
        return False
    # Two numbers are for both sides of height and width, four are top, left, bottom, right.
    if len(padding) not in (2, 4):
        return False
    both = [padding[0] + padding[-2], padding[1] + padding[-1]]
    return all(
        (size + pad - kernel) // stride + 1 == -(-size // stride)
        for size, pad in zip((height, width), both, strict=True)
    )


def _tensor(argument: Any) -> tuple[list[int], str] | None:
    if not isinstance(argument, list) or len(argument) != 3 or argument[0] != "TENSOR":
        return None
    shape = argument[1]
    sizes = whole_numbers(shape, len(shape)) if isinstance(shape, list) else None
    return (sizes, argument[2]) if sizes and isinstance(argument[2], str) else None
