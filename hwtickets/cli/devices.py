"""`hwtickets devices`: which devices there are, what they are, whether they are fit; adding and removing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import amount, plain, print_columns, print_fields, print_json, print_note
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import DeviceError

if TYPE_CHECKING:
    from hwtickets.devices import DeviceProfile

app = typer.Typer(
    help="List, show, add, check and remove devices.",
    epilog="Example: hwtickets devices check cpu",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]


@app.command("list", epilog="Example: hwtickets devices list")
def show_all(as_json: options.Json = False) -> None:
    """List every device, how it is reached and its runtime."""
    with interruptible():
        from hwtickets import device_verbs

        devices = device_verbs.devices()
    if as_json:
        print_json(devices)
        return
    rows = [
        (device.name, device.reached, device.runtime, ", ".join(device.precisions), device.description)
        for device in devices
    ]
    print_columns(rows)


@app.command("show", epilog="Example: hwtickets devices show cpu")
def show(name: _Name, as_json: options.Json = False) -> None:
    """Show everything that is known about a device."""
    with interruptible():
        from hwtickets import device_verbs
        from hwtickets.devices import name_note

        device = device_verbs.device(name)
        note = name_note(name, device)
    print_note(note)
    print_json(device) if as_json else print_fields(_facts(device))


@app.command("add", epilog="Example: hwtickets devices add orin --ssh me@orin.local")
def add(
    name: _Name,
    host: Annotated[
        str,
        typer.Option(
            "--ssh", metavar="HOST", help="user@host, or a name from ~/.ssh/config; never a password."
        ),
    ],
    runtime: Annotated[
        str | None, typer.Option(help="onnxruntime, trtexec or tensorrt (default: what the board has).")
    ] = None,
    precision: Annotated[
        list[str] | None,
        typer.Option(help="fp32, fp16 or int8; repeat it for more (default: by the runtime)."),
    ] = None,
    python: Annotated[str, typer.Option(help="Python on the board, a name or a path.")] = "python3",
    threads: Annotated[int, typer.Option(min=1, help="Threads of the runtime.")] = 1,
    dla: Annotated[
        bool,
        typer.Option("--dla", help="Measure and deploy on its deep-learning accelerator (fp16, int8)."),
    ] = False,
    workspace_mb: Annotated[
        int | None,
        typer.Option(min=1, help="What TensorRT's kernels may use besides weights (default: all)."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Add a board that ssh reaches; nothing is installed on it."""
    with interruptible():
        from hwtickets.devices.add import add_device

        added = add_device(name, host, runtime, precision or (), python, threads, dla, workspace_mb)
    if as_json:
        print_json(added)
        return
    print_fields({**_facts(added.profile), "written to": str(added.path)})
    if added.replaced:
        print(f"replaced: the {name} of before ({added.replaced})")
    if added.unreached:
        print(f"not asked: {added.unreached}")
    print(f"next: hwtickets devices check {name}")


@app.command("remove", epilog="Example: hwtickets devices remove orin")
def remove(name: _Name, as_json: options.Json = False) -> None:
    """Forget a device that was added; its latency tables stay."""
    with interruptible():
        from hwtickets.devices.remove import remove_device

        removed = remove_device(name)
    if as_json:
        print_json(removed)
        return
    print(f"removed: {removed.path}")
    for folder in removed.tables:
        print(f"its tables stay: {folder}")


@app.command("check", epilog="Example: hwtickets devices check cpu")
def check(name: _Name, as_json: options.Json = False) -> None:
    """Check whether a device is fit to be measured on now; exit code 4 if not."""
    with interruptible():
        from hwtickets import device_verbs

        findings = device_verbs.check_device(name)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            print(f"{'ok ' if finding.ok else 'BAD'}  {finding.name}: {finding.detail}{advice}")
    bad = [finding.name for finding in findings if not finding.ok]
    if bad:
        raise DeviceError(f"device '{name}' is not fit to be measured on now: {', '.join(bad)}")


def _facts(device: DeviceProfile) -> dict[str, str]:
    """The profile in words, each fact with where it comes from; and what its runtime can do."""
    from hwtickets.runtimes.capabilities import CAPABILITIES

    none = {
        "sensors": "none known",
        "dla_cores": "not known",
        "workspace_mb": "all there is",
        "sparse_tensor_cores": "not known",
        "sparse_patterns": "none measured to be faster",
    }
    facts = {"name": device.name, "description": device.description, "reached": device.reached}
    for key, value in plain(device).items():
        if key in (*facts, "connection", "host", "sources") or (key == "python" and not device.host):
            continue
        text = ", ".join(value) if isinstance(value, list) else amount(key, value)
        text = none.get(key, text) if value in (None, []) else text
        facts[key] = f"{text} ({device.sources[key]})" if key in device.sources else text
    can = CAPABILITIES.get(device.runtime)
    if can is not None:
        facts["graphs"] = ", ".join(can.graphs)
        facts["operator times"] = "yes" if can.operator_times else "no: the runtime leaves no operators"
    return facts
