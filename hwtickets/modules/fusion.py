"""From what a module calls to the operators that a runtime executes: folded, fused, views left out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

from torch import nn

from hwtickets.modules import recurrent, specs
from hwtickets.modules.attention import Attention, find_attention
from hwtickets.modules.calls import RECURRENT, Call, Record, Tensed
from hwtickets.modules.forms import Form, Sizes
from hwtickets.modules.shapes import ACTIVATIONS, FREE, is_free
from hwtickets.modules.steps import SIZES, Step
from hwtickets.space.fusion import fuses
from hwtickets.space.spec import OperatorSpec

_NORMS = ("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
_SUMS = ("add", "sub", "rsub")
_PRODUCTS = ("mul", "div")
_RESIZES = ("upsample_nearest2d", "_upsample_nearest_exact2d", "upsample_bilinear2d", "upsample_bicubic2d")


class Fusion:
    """Writes the steps of a recorded run.

    Args:
        module: The module that was recorded; says which names are leaves.
        record: Its run.
        sizes: Forms of its tensors.

    Attributes:
        steps: Operators in execution order.
        root: For the identity of every tensor the one that holds its data: itself, or what it is a view of.
    """

    def __init__(self, module: nn.Module, record: Record, sizes: Sizes) -> None:
        self.steps: list[Step] = []
        self.root: dict[int, Tensed] = {}
        self._sizes, self._record = sizes, record
        self._parents = {
            name.removeprefix("body.") for name, part in module.named_modules() if [*part.children()]
        }
        self.made: dict[int, Step] = {}
        self._names: Counter[str] = Counter()
        self._attention = find_attention(record)
        absorbed = {id(call) for found in self._attention.values() for call in found.absorbed}
        self._calls = [call for call in record.calls if not _constant(call)]
        self._alias(absorbed)
        self._readers = self._count(absorbed)
        for call in self._calls:
            if id(call) in self._attention:
                self._attend(self._attention[id(call)])
            elif id(call) not in absorbed and not is_free(call):
                self._write(call)

    def _alias(self, absorbed: set[int]) -> None:
        self.root[id(self._record.input)] = self._record.input
        for call in self._calls:
            free = is_free(call) or id(call) in absorbed
            for tensor in call.outputs:
                source = next((t for t in call.inputs if not t.constant), None)
                self.root[id(tensor)] = self._at(source) if free and source is not None else tensor
        for found in self._attention.values():
            self.root[id(found.output)] = found.output
            for call in found.after:
                self.root[id(call.outputs[0])] = found.output

    def _at(self, tensor: Tensed) -> Tensed:
        return self.root.get(id(tensor), tensor)

    def _count(self, absorbed: set[int]) -> Counter[int]:
        """How often each tensor is read."""
        readers: Counter[int] = Counter()
        for call in self._calls:
            if id(call) in absorbed or is_free(call):
                continue
            for tensor in call.inputs:
                readers[id(self._at(tensor))] += not tensor.constant
        for found in self._attention.values():
            for tensor in found.inputs:
                readers[id(self._at(tensor))] += 1
        for tensor in self._record.outputs:
            readers[id(self._at(tensor))] += 1
        return readers

    def _write(self, call: Call) -> None:
        """Adds one call, alone or to the step before it."""
        if call.name in ("convolution", "_convolution"):
            self._append(call, *specs.convolution(call, self._sizes))
        elif call.name in ("mm", "addmm") and call.inputs[-1].constant:
            self._append(call, *specs.linear(call, self._sizes))
        elif call.name in _NORMS:
            self._fold_norm(call)
        elif call.name in ACTIVATIONS:
            self._activate(call, ACTIVATIONS[call.name](call))
        elif call.name in _SUMS:
            self._add(call)
        elif call.name == RECURRENT:
            self._recur(call)
        else:
            self._others(call)

    def _fold_norm(self, call: Call) -> None:
        before = self._only_reader(call.inputs[0])
        if before is not None and before.spec.kind in ("conv", "deconv", "linear", "matmul") and before.plain:
            if before.spec.kind == "matmul":
                before.spec = replace(before.spec, kind="linear")
            self._move(before, call)
            return
        self._elementwise(call, "batchnorm")

    def _activate(self, call: Call, activation: str) -> None:
        before = self._only_reader(call.inputs[0])
        if before is not None and before.spec.activation == "none":
            spec = before.spec
            if fuses(spec.kind, activation, spec.residual, spec.height * spec.width):
                before.spec = replace(spec, activation=activation)
                self._move(before, call)
                return
        self._elementwise(call, "activation", activation)

    def _add(self, call: Call) -> None:
        inputs = [tensor for tensor in call.inputs if not tensor.constant and len(tensor.shape) > 0]
        same = len(inputs) == 2 and inputs[0].shape == inputs[1].shape
        candidates = [self._only_reader(tensor) for tensor in inputs] if same else []
        order = {id(step): place for place, step in enumerate(self.steps)}
        fitting = [
            (order[id(step)], number, step)
            for number, step in enumerate(candidates)
            if step is not None and step.takes_sum
        ]
        if not fitting:
            self._elementwise(call, "add")
            return
        place, number, step = max(fitting, key=lambda entry: entry[0])
        other = self._at(inputs[1 - number])
        if id(other) in self.made and order[id(self.made[id(other)])] > place:
            self._elementwise(call, "add")
            return
        step.spec = replace(step.spec, residual=True)
        step.inputs.append(other)
        self._move(step, call)

    def _others(self, call: Call) -> None:
        name = call.name
        if name in _PRODUCTS:
            self._elementwise(call, "mul")
        elif name == "cat":
            self._elementwise(call, "concat" if specs.along_channels(call, self._sizes) else "copy")
        elif name in ("_softmax", "_safe_softmax", "_log_softmax"):
            self._append(call, *specs.rows(call, "softmax", self._sizes))
        elif name == "native_layer_norm":
            self._append(call, *specs.rows(call, "layernorm", self._sizes))
        elif name == "native_group_norm":
            self._elementwise(call, "groupnorm")
        elif name == "bmm":
            self._append(call, *specs.batched(call, self._sizes))
        elif name == "mean" or "pool" in name or name in _RESIZES:
            self._append(call, *(specs.spatial(call, self._sizes) or specs.other(call, self._sizes)))
        elif name in FREE.moving:
            for tensor in call.outputs:
                if self._readers[id(tensor)]:
                    self._elementwise(call, "copy", output=tensor)
        else:
            self._append(call, *specs.other(call, self._sizes))

    def _elementwise(
        self, call: Call, kind: str, activation: str = "none", output: Tensed | None = None
    ) -> None:
        y = call.outputs[0] if output is None else output
        self._append(call, *specs.elementwise(call, kind, activation, y, self._sizes), y)

    def _attend(self, found: Attention) -> None:
        call = Call("attention", found.where, {}, [found.output], found.inputs)
        self._append(call, *specs.attention(found, self._sizes))

    def _recur(self, call: Call) -> None:
        for part, spec, forms, output in recurrent.operators(call, self._sizes):
            self._append(part, spec, forms, output)
        for tensor in call.outputs:
            self.made[id(tensor)] = self.steps[-1]
            # Nothing is folded into the products of such a layer.
            self._readers[id(tensor)] += 1

    def _append(
        self, call: Call, spec: OperatorSpec, forms: dict[str, Form], output: Tensed | None = None
    ) -> None:
        y = call.outputs[0] if output is None else output
        inputs: list[Tensed] = []
        for tensor in sorted(call.inputs, key=lambda tensor: -math.prod(tensor.shape)):
            at = self._at(tensor)
            if not tensor.constant and (
                spec.kind in ("add", "mul", "concat", "copy", "product") or at not in inputs
            ):
                inputs.append(at)
        if spec.kind in ("concat", "copy", "product"):
            inputs = [self._at(tensor) for tensor in call.inputs if not tensor.constant]
        changing = {name: form for name, form in forms.items() if name in SIZES and form.terms}
        channels, height, width = specs.written(spec, forms, y, self._sizes)
        step = Step(
            self._name(call, spec),
            self._block(call),
            spec,
            changing,
            inputs,
            y,
            (height, width),
            channels,
            [call],
        )
        self.steps.append(step)
        self.made[id(y)] = step

    def _move(self, step: Step, call: Call) -> None:
        """A step writes what the call writes, from now on."""
        step.output = call.outputs[0]
        step.calls.append(call)
        self.made[id(step.output)] = step

    def _only_reader(self, tensor: Tensed) -> Step | None:
        """The step that makes a tensor, if nothing else reads it."""
        at = self._at(tensor)
        if self._readers[id(at)] != 1 or tensor.constant:
            return None
        return self.made.get(id(at))

    def _name(self, call: Call, spec: OperatorSpec) -> str:
        name = f"{call.where or 'network'}/{spec.kind}"
        self._names[name] += 1
        return name if self._names[name] == 1 else f"{name}_{self._names[name]}"

    def _block(self, call: Call) -> str:
        where = call.where if call.where in self._parents else call.where.rpartition(".")[0]
        return where or call.where or "network"


def _constant(call: Call) -> bool:
    return all(tensor.constant for tensor in call.outputs)
