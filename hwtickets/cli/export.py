"""`hwtickets export`: a ticket as a bundle that travels to the device."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import print_json
from hwtickets.cli.sessions import interruptible

NAME = "export"
EXAMPLE = "hwtickets export runs/demo/ticket --precision int8"


def run(
    ticket: Annotated[Path, typer.Argument(metavar="TICKET", help="Folder of a ticket.")],
    format: Annotated[
        str, typer.Option(help="Format of the network: onnx, or tensorrt: an engine beside it.")
    ] = "onnx",
    precision: Annotated[
        str | None,
        typer.Option(
            help="Of the network: fp32, fp16, bf16, int8, or mixed: every block in fp32 or int8 (--latency;"
            " default: as it was drawn, else fp32)."
        ),
    ] = None,
    device: options.Device = "cpu",
    latency: Annotated[
        str | None,
        typer.Option(help="Latency that mixed keeps on the device: 2ms, or 70% of the ticket's own in fp32."),
    ] = None,
    max_drop: Annotated[
        float,
        typer.Option(help="Points of the score that the precision may cost; what costs more stays in fp32."),
    ] = 0.5,
    opset: Annotated[
        int | None, typer.Option(help="18, or 17 for TensorRT 8.5 (default: 18; bf16 needs 22).")
    ] = None,
    dynamic_batch: Annotated[
        bool, typer.Option("--dynamic-batch", help="Let the network take any number of images at once.")
    ] = False,
    dla: Annotated[
        bool, typer.Option("--dla", help="Put the engine's layers on the deep-learning accelerator.")
    ] = False,
    compress: Annotated[
        bool, typer.Option("--compress", help="Pack the ONNX file: zeros cost a bit each.")
    ] = False,
    output_dir: Annotated[
        Path | None, typer.Option(help="Where the bundle goes (default: beside it).")
    ] = None,
    config: options.File = None,
    as_json: options.Json = False,
) -> None:
    """Write a ticket as a bundle: the network, its description and a runner without torch."""
    from hwtickets.progress import Progress

    with interruptible():
        from hwtickets import api
        from hwtickets.deploy.packed import packed_size

        bundle = api.export(
            ticket,
            format,
            output_dir,
            Progress(),
            precision,
            device,
            max_drop,
            latency,
            opset,
            dynamic_batch,
            dla,
            compress,
        )
        size = packed_size(bundle) if compress else None
    if as_json:
        print_json({"bundle": bundle, **({"packed": asdict(size)} if size else {})})
        return
    print(f"bundle: {bundle}")
    if size:
        print(f"packed: {size}")
