"""A network that somebody else wrote, as a supernet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from hwtickets.errors import HwticketsError, UsageError, unknown
from hwtickets.modules.gates import place_gates
from hwtickets.modules.multihead import convert
from hwtickets.space.units import Unit
from hwtickets.supernets.base import Supernet


class HostedNetwork(Supernet):
    """Any module with one input and one output tensor; its units come from what it does, not from blocks.

    Args:
        body: The module, at its full widths; it is used as it is, not copied. Its `nn.MultiheadAttention`s
            become `HeadedAttention`s, which compute the same.
        input_shape: Shape of one input without batch: (channels, height, width) for images.
        reference: What builds the body again, e.g. "package.mod:build" or "timm:resnet18"; None where nothing
            does.
        arguments: Keyword arguments of the reference.
        keep: Names of modules of the body that are left alone, with everything inside of them.

    Raises:
        UsageError: A name in `keep` is no module of the body.
        HwticketsError: The body does not run on such an input.
    """

    def __init__(
        self,
        body: nn.Module,
        input_shape: Sequence[int],
        reference: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        keep: Sequence[str] = (),
    ) -> None:
        super().__init__()
        names = [name for name, _ in body.named_modules() if name]
        for name in keep:
            if name not in names:
                raise unknown("module to keep", name, names)
        if not list(body.parameters()):
            raise UsageError(f"module {type(body).__name__} has no parameters; there is nothing to search")
        convert(body)
        self.body = body
        self.input_shape = tuple(input_shape)  # type: ignore[assignment]
        self.sizes = {"reference": reference, "arguments": dict(arguments or {}), "keep": list(keep)}
        self.present = {}
        self.classes = _outputs(self)

    def forward(self, x: Tensor) -> Tensor:
        """What the body makes of a batch."""
        result: Tensor = self.body(x)
        return result

    def after_cut(self, units: Iterable[Unit]) -> None:
        """Lays the gates over what is left."""
        place_gates(self, units)


def _outputs(model: HostedNetwork) -> int:
    """Channels of the output, found by a run without data."""
    from hwtickets.modules.recorder import record, weightless

    outputs = record(weightless(model), model.input_shape, follow=False).outputs
    if len(outputs) != 1:
        raise HwticketsError(
            f"module {type(model.body).__name__}: returns {len(outputs)} tensors; wrap it in a module that"
            " returns the one that counts"
        )
    shape = outputs[0].shape
    return shape[1] if len(shape) > 1 else 1
