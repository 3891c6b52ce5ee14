"""The options that several verbs share, and how they become a configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwtickets.errors import UsageError, unknown

if TYPE_CHECKING:
    from hwtickets.config import SearchConfig, SupernetConfig


def _defaults_from(context: typer.Context, file: Path | None) -> Path | None:
    """Makes the values of a YAML file the defaults of the verb's options."""
    from hwtickets.config_files import read_yaml

    if file is None or context.resilient_parsing:
        return file
    values = {key.replace("-", "_"): value for key, value in read_yaml(file, "configuration").items()}
    # The names of options, not of arguments, without those that make no sense in a file.
    options = [
        parameter.name for parameter in context.command.params if parameter.param_type_name == "option"
    ]
    known = [name for name in options if name not in ("help", "config", "as_json")]
    for key in values:
        if key not in known:
            raise unknown("key", key, known, where=f" in {file}")
    context.default_map = values
    return file


Device = Annotated[str, typer.Option(help="Device whose latency counts; see 'hwtickets devices list'.")]
OptionalDevice = Annotated[
    str | None, typer.Option("--device", help="Device whose latency counts (default: cpu).")
]
Latency = Annotated[str | None, typer.Option(help="Latency budget: 8ms, 900us, 40% of the dense network.")]
Macs = Annotated[str | None, typer.Option(help="Budget of multiply-accumulates: 300M, 40%.")]
Size = Annotated[str | None, typer.Option(help="Budget of the deployed file: 2MB, 500kB, 40%.")]
Params = Annotated[str | None, typer.Option(help="Budget of parameters: 1.5M, 40%.")]
Energy = Annotated[
    str | None, typer.Option(help="Budget of energy for one image, where a sensor answers: 50mJ, 40%.")
]
Supernet = Annotated[str | None, typer.Option(help="Network that is searched (default: mobile).")]
Module = Annotated[
    str | None,
    typer.Option(
        metavar="REFERENCE",
        help="A network of your own instead: package.mod:build (a function that returns it) or timm:NAME.",
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A part of the module that is left alone; repeat it for more."),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Trained weights to start from: .safetensors or a state dict."),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A size of the supernet, or an argument of the module's function; repeat it for more.",
    ),
]
Resolution = Annotated[
    str | None,
    typer.Option(help="Side of the images in pixels, or HEIGHTxWIDTH (default: that of the data)."),
]
Seed = Annotated[int | None, typer.Option(help="Seed of everything random (default: 0).")]
Precision = Annotated[
    str | None,
    typer.Option("--precision", help="Precision of the deployed network (default: the device's own)."),
]
DrawnPrecision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        help="Precision of the deployed network, or mixed: that of every part is drawn with its widths"
        " (default: the device's own).",
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(help="Folder of the latency table (default: that of the device and supernet)."),
]
OtherFingerprint = Annotated[
    bool,
    typer.Option(
        "--allow-other-fingerprint",
        help="Use a table although device, JetPack, power mode or runtime are not as it was measured.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(help="What is learnt: classification, segmentation or keypoints (default: classification)."),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="fashion-mnist-small (the default), fashion-mnist:DIR, cifar10:DIR, folder:DIR; for"
        " segmentation camvid:DIR, cityscapes:DIR, ade20k:DIR, masks:DIR; for keypoints coco:DIR,"
        " coco-file:JSON, figures[:N]."
    ),
]
OutputDir = Annotated[
    Path | None, typer.Option(help="Where the results go (default: a new folder under runs/).")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
SearchFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file with the keys of a search; options win."),
]
# Its callback does all the work; a verb that takes it needs no more than the parameter.
File = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_defaults_from,
        help="YAML file with the same keys as the options; options win.",
    ),
]


def search_config(
    file: Path | None,
    budgets: dict[str, str | None],
    supernet: str | None,
    sizes: Sequence[str] | None,
    module: str | None = None,
    keep: Sequence[str] | None = None,
    **options: Any,
) -> SearchConfig:
    """The configuration of a search: the file's values, replaced by every option that was given.

    Raises:
        UsageError: Options that do not go together, or values that are wrong.
    """
    from hwtickets.config_files import load_config

    given = {key: value for key, value in options.items() if value is not None}
    kept = {metric: text for metric, text in budgets.items() if text is not None}
    architecture = _supernet(supernet, sizes) if module is None else _module(module, supernet, sizes, keep)
    if keep and module is None:
        raise UsageError("--keep names parts of a module; say which one with --module")
    return load_config(
        file,
        {
            **given,
            **({"budgets": kept} if kept else {}),
            **({"supernet": architecture} if architecture else {}),
        },
    )


def supernet_config(supernet: str | None, sizes: Sequence[str] | None) -> SupernetConfig:
    """The supernet that `--supernet` and `--set` ask for."""
    from hwtickets.config_files import parse_supernet

    return parse_supernet(_supernet(supernet, sizes))


def _supernet(name: str | None, sizes: Sequence[str] | None) -> dict[str, Any]:
    parsed = dict(_size(text) for text in sizes or ())
    return {**({"name": name} if name else {}), **({"sizes": parsed} if parsed else {})}


def _module(
    reference: str, supernet: str | None, arguments: Sequence[str] | None, keep: Sequence[str] | None
) -> dict[str, Any]:
    if supernet:
        raise UsageError(f"--module and --supernet {supernet} are two networks; leave one of them out")
    sizes: dict[str, Any] = {"reference": reference}
    sizes |= {"arguments": dict(_size(text) for text in arguments)} if arguments else {}
    sizes |= {"keep": list(keep)} if keep else {}
    return {"name": "module", "sizes": sizes}


def _size(text: str) -> tuple[str, Any]:
    key, found, value = text.partition("=")
    if not found or not key.strip():
        raise UsageError(f"'--set {text}' is not KEY=VALUE; write it as --set expand_ratio=4")
    name = key.strip().replace("-", "_")
    try:
        return name, json.loads(value)
    except ValueError:
        if value.isidentifier():
            return name, value
        raise UsageError(
            f"'--set {text}': the value is not a number, a word or a list; write it as"
            " --set kernel_sizes=[3,5]"
        ) from None
