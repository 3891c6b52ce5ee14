"""`hwtickets devices`: which devices there are, what they are, and whether they are fit to measure on."""

from __future__ import annotations

from typing import Annotated

import typer

from hwtickets.cli import options
from hwtickets.cli.printing import plain, print_fields, print_json
from hwtickets.cli.sessions import interruptible
from hwtickets.errors import DeviceError

app = typer.Typer(
    help="List, show and check devices.",
    epilog="Example: hwtickets devices check cpu",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]


@app.command("list", epilog="Example: hwtickets devices list")
def show_all(as_json: options.Json = False) -> None:
    """List every device and its runtime."""
    with interruptible():
        from hwtickets import api

        devices = api.devices()
    if as_json:
        print_json(devices)
        return
    for device in devices:
        print(f"{device.name}  {device.runtime}  {', '.join(device.precisions)}  {device.description}")


@app.command("show", epilog="Example: hwtickets devices show cpu")
def show(name: _Name, as_json: options.Json = False) -> None:
    """Show everything that is known about a device."""
    with interruptible():
        from hwtickets import api

        device = api.device(name)
    if as_json:
        print_json(device)
    else:
        print_fields(plain(device))


@app.command("check", epilog="Example: hwtickets devices check cpu")
def check(name: _Name, as_json: options.Json = False) -> None:
    """Check whether a device is fit to be measured on now; exit code 4 if not."""
    with interruptible():
        from hwtickets import api

        findings = api.check_device(name)
    if as_json:
        print_json(findings)
    else:
        for finding in findings:
            advice = f"; {finding.advice}" if finding.advice else ""
            print(f"{'ok ' if finding.ok else 'BAD'}  {finding.name}: {finding.detail}{advice}")
    bad = [finding.name for finding in findings if not finding.ok]
    if bad:
        raise DeviceError(f"device '{name}' is not fit to be measured on now: {', '.join(bad)}")
