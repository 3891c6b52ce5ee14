"""Runs a module once, without weights or data, and writes down what it does."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten

from hwtickets.errors import HwticketsError
from hwtickets.modules.calls import RECURRENT, Call, Record, Tensed, body_name
from hwtickets.modules.constants import Constants, keep_values
from hwtickets.modules.recurrent import given_of
from hwtickets.modules.rules import carry
from hwtickets.modules.untraceable import untraceable

#: Calls after which a parameter is still itself.
_LAID_OUT = (
    "t", "transpose", "permute", "view", "_unsafe_view", "alias", "detach", "select", "split", "unbind",
)  # fmt: skip


def weightless(module: nn.Module) -> nn.Module:
    """A copy of a module in evaluation mode that has shapes but no data; what was shared still is."""
    shared: dict[int, nn.Parameter] = {}
    for parameter in module.parameters():
        bare_one = nn.Parameter(torch.empty_like(parameter, device="meta"), parameter.requires_grad)
        shared[id(parameter)] = bare_one
    # Copied with its parameters replaced: moved to another device, each owner would get one of its own.
    bare = copy.deepcopy(module, dict(shared)).to("meta").eval()
    for part in bare.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                setattr(part, name, value.to("meta"))
    keep_values(module, bare)
    return bare


def record(module: nn.Module, input_shape: Sequence[int], follow: bool = True) -> Record:
    """Runs a weightless module on one input.

    Args:
        module: From `weightless`.
        input_shape: Shape of one input without batch.
        follow: Whether labels are followed, or only shapes written down.

    Raises:
        HwticketsError: It cannot be run; names the part of it that fails.
    """
    mode = _Recorder(module, follow)
    with torch.no_grad(), torch.device("meta"):
        x = torch.zeros(1, *input_shape)
        mode.enter(x)
        with _no_fast_paths(), mode.watching(module), mode:
            result = _run(module, x, mode)
    mode.leave(result)
    return mode.record


def _run(module: nn.Module, x: Tensor, mode: _Recorder) -> Any:
    try:
        return module(x)
    except HwticketsError:
        raise
    except Exception as error:
        where = mode.record.ties.where or type(getattr(module, "body", module)).__name__
        raise untraceable(error, where, x.shape) from error


@contextmanager
def _no_fast_paths() -> Iterator[None]:
    """Attention written out, as it is exported."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Recorder(TorchDispatchMode):
    """Sees every operation that reaches a device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Nothing is compiled in here; the guard against it would import the compiler, which takes seconds.
        return False

    def __init__(self, module: nn.Module, follow: bool) -> None:
        super().__init__()
        self.record = Record()
        self._follow = follow
        self._known: dict[int, Tensed] = {}
        self._alive: list[Tensor] = []  # so that no id is given twice
        self._constants = Constants()
        self._names: dict[int, str] = {}
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            self._names.setdefault(id(tensor), name)
        self._stack: list[str] = []

    def enter(self, x: Tensor) -> None:
        """Takes the input of the network, whose shape is fixed."""
        self.record.input = self._remember(x, Tensed(tuple(x.shape)))

    def leave(self, result: Any) -> None:
        """Takes what the network returned: it keeps its shape."""
        self.record.ties.where = ""
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, Tensor):
                output = self._of(tensor)
                self.record.ties.freeze(output.fields, "it makes the output of the network")
                self.record.outputs.append(output)

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Knows which part of a module is running."""
        hooks = []
        recurrent = [part for part in module.modules() if isinstance(part, nn.RNNBase)]
        for part in recurrent:
            part.forward = partial(self._recurrent, part, part.forward)
        for name, part in module.named_modules():
            hooks.append(part.register_forward_pre_hook(lambda _, args, name=name: self._inside(name, args)))
            hooks.append(part.register_forward_hook(lambda _, __, ___: self._outside()))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            for part in recurrent:
                del part.forward

    def _inside(self, name: str, args: Any) -> None:
        self._stack.append(body_name(name))
        self.record.ties.where = self._stack[-1]
        given = next((tensor for tensor in args if isinstance(tensor, Tensor)), None)
        self.record.entered.append((self._stack[-1], None if given is None else self._known.get(id(given))))

    def _outside(self) -> None:
        self._stack.pop()
        self.record.ties.where = self._stack[-1] if self._stack else ""

    def _recurrent(self, layer: nn.RNNBase, forward: Any, x: Tensor, hx: Any = None) -> Any:
        """A recurrent layer as one call: written out step by step it is a long one that no runtime runs."""
        with _disable_current_modes(), torch.device("meta"):
            result = forward(x, hx)
        weights = {name: self._of(tensor) for name, tensor in layer.named_parameters()}
        given = given_of(layer, self._of(x), self._seen(hx), weights)
        tensors = [tensor for tensor in tree_flatten(result)[0] if isinstance(tensor, Tensor)]
        outputs = [self._remember(tensor, Tensed(tuple(tensor.shape))) for tensor in tensors]
        inputs = [given["input"], *weights.values()]
        call = Call(RECURRENT, self.record.ties.where, given, outputs, inputs)
        self.record.calls.append(call)
        if self._follow:
            carry(self.record, call)
        return result

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = self._bound(func, args, kwargs)
        with_data = self._constants.value(args[0]) if _leaves_meta(func, kwargs) else None
        result = func(*args if with_data is None else (with_data, *args[1:]), **kwargs)
        inputs = [t for t in tree_flatten(list(given.values()))[0] if isinstance(t, Tensed)]
        constant = all(tensor.constant for tensor in inputs)
        if any(tensor.constant for tensor in _written_to(func, given)):
            self._constants.overwritten()
        self._constants.note(func, args, kwargs, result)
        name = func._schema.name.split("::")[1]
        outputs = []
        for tensor in tree_flatten(result)[0]:
            if isinstance(tensor, Tensor):
                known = Tensed(tuple(tensor.shape), constant=constant)
                outputs.append(self._remember(tensor, known))
        pointwise = torch.Tag.pointwise in func.tags
        call = Call(name.rstrip("_"), self.record.ties.where, given, outputs, inputs, pointwise)
        self.record.calls.append(call)
        if self._follow:
            carry(self.record, call)
        if constant and inputs and outputs:
            outputs[0].parameter = inputs[0].parameter
            outputs[0].computed = inputs[0].computed or call.name not in _LAID_OUT
        return result

    def _bound(self, func: Any, args: Any, kwargs: Any) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for place, argument in enumerate(func._schema.arguments):
            if place < len(args):
                given[argument.name] = self._seen(args[place])
            elif argument.name in kwargs:
                given[argument.name] = self._seen(kwargs[argument.name])
            elif argument.has_default_value():
                given[argument.name] = argument.default_value
        return given

    def _seen(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._of(value)
        if isinstance(value, list | tuple):
            return [self._seen(one) for one in value]
        return value

    def _of(self, tensor: Tensor) -> Tensed:
        if id(tensor) in self._known:
            return self._known[id(tensor)]
        shape = tuple(tensor.shape)
        fields = self.record.ties.fresh(shape) if self._follow else ()
        known = Tensed(shape, fields, True, self._names.get(id(tensor)))
        if known.parameter is not None:
            self.record.parameters[known.parameter] = known
        return self._remember(tensor, known)

    def _remember(self, tensor: Tensor, known: Tensed) -> Tensed:
        self._alive.append(tensor)
        self._known[id(tensor)] = known
        return known


def _leaves_meta(func: Any, kwargs: Mapping[str, Any]) -> bool:
    """Whether an operation gives numbers out of its first tensor to Python."""
    if func is torch.ops.aten._to_copy.default:
        return kwargs.get("device", torch.device("meta")) != torch.device("meta")
    return func is torch.ops.aten._local_scalar_dense.default


def _written_to(func: Any, given: Mapping[str, Any]) -> list[Tensed]:
    """Arguments whose memory an operation writes to."""
    written = [
        given.get(argument.name)
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return [one for one in tree_flatten(written)[0] if isinstance(one, Tensed)]
