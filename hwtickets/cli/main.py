"""The entry point: which verbs there are, and how a failure becomes one line and an exit code."""

from __future__ import annotations

import os
import platform
import sys
from typing import Annotated, Any

import typer

from hwtickets import __version__
from hwtickets.cli import (
    benchmark,
    demo,
    devices,
    draw,
    export,
    profile,
    report,
    retrain,
    search,
    table,
    transfer,
    verify,
)
from hwtickets.errors import HwticketsError, UsageError, nearest
from hwtickets.training.torchrun import helps, several

# The base of every error of parsing; where typer keeps it depends on typer's version.
_ParseError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="hwtickets",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "token_normalize_func": lambda name: name.replace("_", "-"),
    },
    epilog="Start with: hwtickets demo",
)


@app.callback(invoke_without_command=True)
def _hwtickets(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and leave.")] = False,
) -> None:
    """From a latency budget in milliseconds to a measured, exported network."""
    if version:
        typer.echo(f"hwtickets {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


for _verb in (demo, profile, search, draw, retrain, transfer, export, verify, benchmark, report):
    app.command(_verb.NAME, epilog=f"Example: {_verb.EXAMPLE}")(_verb.run)
app.add_typer(devices.app, name="devices")
app.add_typer(table.app, name="table")


def main() -> None:
    """Runs the command line of this process and exits with the code of the design."""
    # Before torch is imported, which reads it once: OpenMP's waiting threads spin, which on shared cores
    # takes whole scheduler slices from those that work (measured: an augmentation of 0.4 ms took 8 ms).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Read by numpy, whose matrices are small here: on shared cores its threads wait for one another
    # (measured: a first draw of 0.4 s took 20 s). Elsewhere torch itself may compute with OpenBLAS.
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(run_or_help(sys.argv[1:]))


def run_or_help(arguments: list[str]) -> int:
    """Runs one command line; under torchrun the first process does, and the others help it train.

    Args:
        arguments: Without the name of the program.

    Returns:
        As `run` does.
    """
    if helps():
        from hwtickets.training.worker import serve

        return serve()
    code = run(arguments)
    if several():
        from hwtickets.training.processes import dismiss

        dismiss()
    return code


def run(arguments: list[str]) -> int:
    """Runs one command line.

    Args:
        arguments: Without the name of the program.

    Returns:
        0 done, 1 error, 2 bad usage, 3 budget not met, 4 device unreachable, 5 numerics out of tolerance,
        130 interrupted.
    """
    try:
        return app(args=arguments, prog_name="hwtickets", standalone_mode=False) or 0
    except HwticketsError as error:
        return _fail(str(error), error.exit_code, error.label)
    except _ParseError as error:
        return _fail(_advice(error), UsageError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", 130)


def _fail(text: str, code: int, label: str = HwticketsError.label) -> int:
    print(f"{label}: {text}", file=sys.stderr)
    return code


def _advice(error: Any) -> str:
    text = " ".join(error.format_message().split()).rstrip(".") + "."
    context = error.ctx
    if context is None:
        return text
    see = f"See '{context.command_path} --help'."
    if not hasattr(error, "possibilities"):
        return f"{text} {see}"
    options = [option for parameter in context.command.params for option in parameter.opts]
    close = nearest(error.option_name, options)
    return f"unknown option '{error.option_name}'{f'; did you mean {close!r}?' if close else '.'} {see}"
