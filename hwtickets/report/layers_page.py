"""The layer explorer as one HTML file: layers of one network, or of two side by side; readable offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from hwtickets.report.html_parts import absent, card
from hwtickets.report.layer_tiles import tiles
from hwtickets.report.page import framed, resource

Layer = Mapping[str, Any]

_COLOURS = {"dense": "#64748b", "ticket": "#2563eb"}
_HINT = (
    "Every bar is one layer as the runtime executes it, in order; all on one scale. The times sum to the"
    " latency measured without profiling."
)
_TABLE_HINT = (
    "A click on a title sorts. Module: the part of the deployed network that the layer was exported from;"
    " layers without one were put in by the runtime. Bytes: what a layer reads (weights too) and writes."
    " Dense, sparse: profiled without and with the zeros of 2:4 weights; blank where there are none."
)
#: Title on the page and in a file, and whether the column holds numbers.
_COLUMNS = (
    ("#", "number", True),
    ("Network", "network", False),
    ("Layer", "layer", False),
    ("Block", "block", False),
    ("Module", "module", False),
    ("Operator", "operator", False),
    ("Fused", "fused", False),
    ("Input", "input_shape", False),
    ("Output", "output_shape", False),
    ("MACs", "macs", True),
    ("Bytes", "size_bytes", True),
    ("Time (ms)", "time_ms", True),
    ("Share (%)", "share_percent", True),
    ("Precision", "precision", False),
    ("Sparse kernel", "sparse_kernel", False),
    ("Dense (ms)", "dense_ms", True),
    ("Sparse (ms)", "sparse_ms", True),
    ("Of dense", "sparse_ratio", True),
    ("Kernel", "kernel", False),
)
CSV_TITLES = tuple(name for _, name, _ in _COLUMNS)


def render_layers(record: Mapping[str, Any]) -> str:
    """The whole page, about 1 kB a layer.

    Args:
        record: What `hwtickets benchmark` measured, with the `layers` of every network.
    """
    layers: dict[str, list[Layer]] = {name: record["layers"][name] for name in sorted(record["layers"])}
    title = f"{record['name']} on {record['device']}"
    runtime = record["fingerprint"].get("runtime", record["runtime"])
    about = f"{runtime} · {record['precision']} · ticket {record['ticket']}"
    head = f'<header><h1>{escape(title)}</h1><p class="about">{escape(about)}</p></header>'
    cards = [
        card("Layer by layer", _HINT, _sides(layers)),
        card("Every layer", _TABLE_HINT, _tools(list(layers)) + _table(layers)),
    ]
    body = [head, tiles(record), *(cards if layers else [_no_layers(record)])]
    return framed(title, body, ["style.css", "layers.css"], [resource("layers.js")] if layers else [])


def explained(layers: Mapping[str, Sequence[Layer]]) -> list[list[object]]:
    """The rows of the table and of the CSV file, as `CSV_TITLES` names them; nothing is rounded."""
    return [
        [
            number,
            network,
            layer["name"],
            layer["block"],
            layer["module"],
            layer["operator"],
            " + ".join(layer["fused"]),
            "×".join(map(str, layer["input_shape"])),
            "×".join(map(str, layer["output_shape"])),
            layer["macs"],
            layer["size_bytes"],
            layer["time_ms"],
            100 * layer["share"],
            layer["precision"],
            {True: "yes", False: "no", None: "not known"}[layer["sparse"]],
            *(layer[key] for key in ("dense_ms", "sparse_ms", "sparse_ratio")),
            layer["kernel"],
        ]
        for network, own in layers.items()
        for number, layer in enumerate(own, 1)
    ]


def _no_layers(record: Mapping[str, Any]) -> str:
    reason = str(record["blocks"]).removeprefix("not available: ")
    return card("Layers", "", absent(reason))


def _sides(layers: Mapping[str, Sequence[Layer]]) -> str:
    """The networks side by side, block against block."""
    longest = max((layer["time_ms"] for own in layers.values() for layer in own), default=0.0) or 1.0
    blocks = list(dict.fromkeys(layer["block"] for own in layers.values() for layer in own))
    heads = [
        f"<h4>{escape(network)}, {sum(layer['time_ms'] for layer in own):.4g} ms</h4>"
        for network, own in layers.items()
    ]
    cells = [
        _block(block, [layer for layer in own if layer["block"] == block], longest, _COLOURS[network])
        for block in blocks
        for network, own in layers.items()
    ]
    kind = "sides" if len(layers) > 1 else "sides one"
    return f'<div class="{kind}">{"".join(heads)}{"".join(cells)}</div>'


def _block(name: str, layers: Sequence[Layer], longest_ms: float, colour: str) -> str:
    if not layers:
        return f'<div class="block gone"><b>{escape(name)}<span>not there</span></b></div>'
    total_ms = sum(layer["time_ms"] for layer in layers)
    lanes = "".join(_lane(layer, longest_ms, colour) for layer in layers)
    return f'<div class="block"><b>{escape(name)}<span>{total_ms:.4g} ms</span></b>{lanes}</div>'


def _lane(layer: Layer, longest_ms: float, colour: str) -> str:
    # The block stands above.
    module = layer["module"].removeprefix(layer["block"]).removeprefix(".")
    label = f"{layer['operator']} {module}".strip() or layer["name"]
    width = 100 * layer["time_ms"] / longest_ms
    return (
        f'<div class="lane" title="{escape(_hover(layer))}"><span>{escape(label)}</span>'
        f'<i style="width:{width:.1f}%;background:{colour}"></i><span>{layer["time_ms"]:.4f} ms</span></div>'
    )


def _hover(layer: Layer) -> str:
    shapes = " → ".join("×".join(map(str, layer[key])) for key in ("input_shape", "output_shape"))
    parts = (layer["name"], " + ".join(layer["fused"]), shapes if layer["fused"] else "", layer["precision"])
    return "; ".join(part for part in parts if part)


def _tools(networks: Sequence[str]) -> str:
    options = "".join(f'<option value="{escape(name)}">{escape(name)}</option>' for name in networks)
    return (
        '<div class="tools"><input id="find" type="search" placeholder="Find layers, e.g. blocks.3 Conv"'
        ' aria-label="Find layers"><select id="network" aria-label="Network">'
        f'<option value="">every network</option>{options}</select><output id="shown"></output></div>'
    )


def _table(layers: Mapping[str, Sequence[Layer]]) -> str:
    longest = max((layer["time_ms"] for own in layers.values() for layer in own), default=0.0) or 1.0
    head = "".join(
        f'<th class="{"number" if numeric else "text"}"><button>{escape(title)}</button></th>'
        for title, _, numeric in _COLUMNS
    )
    rows = "".join(_row(row, longest) for row in explained(layers))
    inner = f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="scroll"><table class="layers">{inner}</table></div>'


def _row(values: Sequence[object], longest_ms: float) -> str:
    network, module, time_ms = str(values[1]), values[4], float(str(values[11]))
    cells = []
    for (title, _, numeric), value in zip(_COLUMNS, values, strict=True):
        text = escape(_shown(title, value))
        if title.startswith("Time"):
            text += f'<i style="width:{60 * time_ms / longest_ms:.0f}px;background:{_COLOURS[network]}"></i>'
        # What is blank sorts below every figure.
        key = -1 if value is None else value
        cells.append(f'<td class="number" data-value="{key}">{text}</td>' if numeric else f"<td>{text}</td>")
    quiet = "" if module else ' class="quiet"'
    return f'<tr{quiet} data-network="{escape(network)}" data-ms="{time_ms}">{"".join(cells)}</tr>'


def _shown(title: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    digits = 4 if title.endswith("(ms)") else 3 if title == "Of dense" else 1
    return f"{value:.{digits}f}"
