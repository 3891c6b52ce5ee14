"""Networks as they are deployed, to be timed next to what their operators say."""

from __future__ import annotations

from collections.abc import Mapping

from hwtickets.errors import HwticketsError
from hwtickets.tables.sampling import ModuleSpace


def deployed_model(space: ModuleSpace, input_shape: tuple[int, int, int], widths: Mapping[str, int]) -> bytes:
    """The ONNX model of a module at some widths, as export writes it.

    Args:
        space: Knows the module.
        input_shape: Channels, height and width (pixels) of one input.
        widths: By unit.

    Raises:
        HwticketsError: The module cannot be exported.
    """
    from hwtickets.deploy.onnx_export import export_onnx

    try:
        return export_onnx(space.module(widths).eval(), input_shape)
    except HwticketsError:
        raise
    except Exception as error:  # The exporter passes on whatever the module raises.
        reason = str(error).strip().split("\n")[0]
        raise HwticketsError(
            f"the module cannot be exported to ONNX ({type(error).__name__}: {reason:.200}); its latency"
            " could not be measured either"
        ) from error
