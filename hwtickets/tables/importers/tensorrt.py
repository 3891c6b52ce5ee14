"""An engine of TensorRT: its layers from one file, their times from another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hwtickets.errors import UsageError
from hwtickets.tables.importers.collected import Collected
from hwtickets.tables.importers.sources import Source
from hwtickets.tables.importers.tensorrt_layers import Layer, are_layers, layers, operator
from hwtickets.tables.importers.tensorrt_times import are_times, layer_times, parse


def recognises(source: Source) -> bool:
    """Whether a source looks like one of the two files."""
    head = source.data[:65536]
    return b'"LayerType"' in head or b'"averageMs"' in head or b'"Layers"' in head


def collect(sources: Sequence[Source], precision: str, batch: int = 1) -> Collected:
    """Reads the operators of one engine.

    Args:
        sources: The file of the layers and that of their times, in any order.
        precision: Layers that compute in another one are left out.
        batch: Images at once; layers with another number are left out.

    Raises:
        UsageError: One of the two files is missing.
        HwticketsError: A file is damaged, or they are of different engines.
    """
    contents = [(source, parse(source)) for source in sources]
    described = [(source, content) for source, content in contents if are_layers(content)]
    timed = [(source, content) for source, content in contents if are_times(content)]
    if len(described) != 1 or len(timed) != 1 or len(contents) != 2:
        raise UsageError(
            f"{' '.join(str(source.path) for source in sources)}: give two files of one engine, its layers"
            " (trtexec --exportLayerInfo) and their times (--exportProfile)"
        )
    found = layers(*described[0])
    times = layer_times(*timed[0])
    collected = Collected("ms, as they are")
    unknown = [layer.name for layer in found if layer.name not in times]
    if len(unknown) == len(found):
        raise timed[0][0].fault(f"it times no layer of {described[0][0].path}; they are of different engines")
    total_ms = sum(time.latency_ms for time in times.values())
    taken_ms = 0.0
    for layer in found:
        time = times.get(layer.name)
        spec = operator(layer, batch) if time is not None else "layers without a time"
        if not isinstance(spec, str) and layer.precision != precision:
            spec = f"computed in {layer.precision}, not {precision}"
        if isinstance(spec, str) or time is None:
            collected.skip(str(spec))
        elif time.latency_ms == 0:
            collected.skip("takes no time")
        else:
            collected.add(described[0][0], spec, time)
            taken_ms += time.latency_ms
    collected.notes.append(_share(taken_ms, total_ms, found))
    return collected


def _share(taken_ms: float, total_ms: float, found: Sequence[Layer]) -> str:
    precisions = Counter(layer.precision for layer in found)
    shown = ", ".join(f"{name} {count}" for name, count in precisions.most_common())
    share = 100 * taken_ms / total_ms if total_ms else 0.0
    return f"{share:.0f} % of the time of all layers ({total_ms:.4g} ms) is in the rows; layers: {shown}"
