"""Whether masks count towards a latency: never by density, only as a pattern that a device runs faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwtickets.devices.profile import DeviceProfile

#: Whole channels are gone from the operators themselves: what is left is priced as it is.
PRICED = "channel"


def credits_latency(pattern: str, device: DeviceProfile) -> bool:
    """Whether a pattern was measured to make a device faster."""
    return pattern == PRICED or pattern in device.sparse_patterns


def credit_note(pattern: str, sparsity: float, device: DeviceProfile) -> str:
    """What must be said of masks beside every latency, in one sentence.

    Prices are those of dense operators whatever the pattern: a latency is never multiplied by a density.

    Args:
        pattern: Name of the masks' pattern.
        sparsity: Share of the convolutions' weights that is masked.
        device: Where the latency holds.
    """
    masks = f"Masks ({pattern}, {100 * sparsity:.3g} % of the convolutions' weights)"
    if credits_latency(pattern, device):
        return (
            f"{masks}: {device.name} runs this pattern faster; prices are those of dense operators, so what"
            " is gained shows in measured latencies only."
        )
    return f"{masks}: no latency credited on {device.name}; they buy size, not time."
