"""The pattern that is taken where the device decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwtickets.sparsity.patterns.channel import Channel

if TYPE_CHECKING:
    from hwtickets.devices.profile import DeviceProfile

#: Runtimes that time sparse kernels beside dense ones, layer by layer, and take the faster.
_WITH_SPARSE_KERNELS = ("tensorrt", "trtexec")


def pattern_for(device: DeviceProfile) -> str:
    """The pattern that a device can run faster.

    The first that was measured to; else 2:4 where the runtime has kernels for it and the GPU sparse tensor
    cores; else whole channels, which every device is faster without.

    Args:
        device: The device, with its runtime.
    """
    if device.sparse_patterns:
        return device.sparse_patterns[0]
    if device.sparse_tensor_cores and device.runtime in _WITH_SPARSE_KERNELS:
        return "2:4"
    return Channel.name
