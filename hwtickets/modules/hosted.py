"""A network that somebody else wrote, as a supernet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.modules.calls import Record, last_layers
from hwtickets.modules.freezing import frozen_parts
from hwtickets.modules.gates import place_gates
from hwtickets.modules.multihead import convert
from hwtickets.space.units import Unit
from hwtickets.structure import Structure
from hwtickets.supernets.base import Supernet


def plain_module(given: object) -> nn.Module:
    """The module that its author wrote, out of what `torch.compile` puts around it.

    Raises:
        UsageError: It is no module, or one whose layers cannot be cut: compiled, quantized, without sizes.
    """
    module = getattr(given, "_orig_mod", given)
    if not isinstance(module, nn.Module):
        raise UsageError(f"the model is a {type(given).__name__}; expected a torch.nn.Module")
    for name, part in module.named_modules():
        reason = _uncuttable(part)
        if reason:
            raise UsageError(f"module {name or type(part).__name__}: {reason}")
    return module


def _uncuttable(part: nn.Module) -> str:
    """Why a layer cannot be cut, and what to do; empty if it can."""
    if isinstance(part, torch.jit.ScriptModule):
        return "TorchScript cannot be cut; give the module that it was made from"
    if any(nn.parameter.is_lazy(tensor) for tensor in part.parameters(recurse=False)):
        return "its sizes are not known yet; run the network once on an input first"
    for key, value in vars(part).items():
        if isinstance(value, Tensor) and value.grad_fn is not None:
            return (
                f"its attribute {key} was computed (by torch.nn.utils.weight_norm, or in a forward pass) and"
                " cannot be copied; use torch.nn.utils.parametrizations, or set it to None"
            )
    for tensor in part.parameters(recurse=False):
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            return f"its weights are {str(tensor.dtype).removeprefix('torch.')}; give the network in fp32"
    leaf = next(part.children(), None) is None
    if leaf and not all(isinstance(tensor, Tensor) for tensor in part.state_dict().values()):
        return "its weights are packed, quantized; give the network as it was before, in fp32"
    return ""


class HostedNetwork(Supernet):
    """Any module with one input tensor; its units come from what it does, not from blocks.

    A module that returns several tensors gives them here as one, (batch, numbers), see `Structure.joined`.

    Args:
        body: The module, at its full widths; it is used as it is, not copied. Its `nn.MultiheadAttention`s
            become `HeadedAttention`s, which compute the same.
        input_shape: Shape of one input without batch: (channels, height, width) for images.
        reference: What builds the body again, e.g. "package.mod:build" or "timm:resnet18"; None where nothing
            does.
        arguments: Keyword arguments of the reference.
        keep: Names of modules of the body that are left alone, with everything inside of them.

    Raises:
        UsageError: A name in `keep` is no module of the body, or the body is no plain module.
        HwticketsError: The body does not run on such an input, or returns something else than tensors of
            floating point numbers.

    Attributes:
        structure: Of what the body returns; None where that is one tensor.
        unmasked: Modules that masks leave alone: those to keep, and the layers that give the outputs.
    """

    def __init__(
        self,
        body: nn.Module,
        input_shape: Sequence[int],
        reference: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        from hwtickets.modules.recorder import record, weightless

        super().__init__()
        body = plain_module(body)
        names = [name for name, _ in body.named_modules() if name]
        for name in keep:
            if name not in names:
                raise unknown("module to keep", name, names)
        if not list(body.parameters()):
            raise UsageError(f"module {type(body).__name__} has no parameters; there is nothing to search")
        frozen = frozen_parts(body)
        convert(body)
        self.body = body
        self.input_shape = tuple(input_shape)  # type: ignore[assignment]
        self.sizes = {"reference": reference, "arguments": dict(arguments or {}), "keep": list(keep)}
        if frozen:
            self.sizes["frozen"] = frozen
        self.present = {}
        self.structure: Structure | None = None
        try:
            run = record(weightless(self), self.input_shape, follow=False)
        except _SeveralError as error:
            self.structure = _structure(body, error.result)
            self.sizes["outputs"] = self.structure.as_json()
            run = record(weightless(self), self.input_shape, follow=False)
        self.classes = _outputs(run)
        self.unmasked = tuple(f"body.{name}" for name in (*keep, *last_layers(run)))

    def forward(self, x: Tensor) -> Tensor:
        """What the body makes of a batch; several tensors joined.

        Raises:
            HwticketsError: The body returns something else than when it was hosted.
        """
        result = self.body(x)
        if self.structure is not None:
            return self.structure.joined(result, _returns(self.body))
        if not isinstance(result, Tensor):
            raise _SeveralError(self.body, result)
        return result

    def deployed(self) -> nn.Module:
        """What is exported: the body, by the names of its author, or what joins its outputs around it."""
        return self.body if self.structure is None else Joined(self.body, self.structure)

    def after_cut(self, units: Iterable[Unit]) -> None:
        """Lays the gates over what is left."""
        place_gates(self, units)


class Joined(nn.Module):
    """A module whose outputs are joined; all that is added to it.

    Args:
        body: The module.
        structure: Of what it returns.
    """

    def __init__(self, body: nn.Module, structure: Structure) -> None:
        super().__init__()
        self.body, self._structure = body, structure

    def forward(self, x: Tensor) -> Tensor:
        """The outputs as one tensor."""
        return self._structure.joined(self.body(x), _returns(self.body))


class _SeveralError(HwticketsError):
    """A module returned something else than one tensor where one was expected."""

    def __init__(self, body: nn.Module, result: object) -> None:
        self.result = result
        super().__init__(
            f"module {type(body).__name__} returns a {type(result).__name__} and, when its space was made,"
            " one tensor: wrap it in a module that returns the same in training and in evaluation"
        )


def _returns(body: nn.Module) -> str:
    return f"module {type(body).__name__} returns"


def _structure(body: nn.Module, result: object) -> Structure:
    structure = Structure.of(result, _returns(body))
    for part in structure.parts:
        if not getattr(torch, part.type).is_floating_point:
            raise UsageError(
                f"{_returns(body)}: {part.name} is {part.type}; expected floating point numbers that can be"
                " learnt from: decide behind the network"
            )
    return structure


def _outputs(run: Record) -> int:
    """Channels of the output."""
    (output,) = run.outputs
    return output.shape[1] if len(output.shape) > 1 else 1
