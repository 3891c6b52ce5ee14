"""What all benchmarks share: options, results that survive a kill, the machine they ran on, tables."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwtickets import files
from hwtickets.cli.printing import plain, print_json
from hwtickets.config import SearchConfig, SupernetConfig
from hwtickets.config_files import load_config, named_config
from hwtickets.devices.processor import cpu_model
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.search.job import versions
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet

#: Classes of a space that is built without data; latency hardly depends on them.
CLASSES = 10


def parser(text: str | None) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark.

    Args:
        text: The docstring of the benchmark.
    """
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="keep one JSON line a finished point; a point that is there already is not measured again",
    )
    made.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return made


def add_config(made: argparse.ArgumentParser) -> None:
    """Adds the option that names the search which is looked at."""
    made.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="YAML file with the keys of a search (default: the demo's)",
    )


def search_parser(text: str | None, command: str) -> argparse.ArgumentParser:
    """A parser with the options of every benchmark that searches.

    Args:
        text: The docstring of the benchmark.
        command: Its name.
    """
    made = parser(text)
    add_config(made)
    made.add_argument("--seeds", type=numbers, default=[0, 1, 2], help="default: 0,1,2")
    made.add_argument(
        "--epochs", type=float, metavar="E", help="passes over the training data (default: the config's)"
    )
    made.add_argument(
        "--runs", type=Path, default=Path(f"runs/{command}"), metavar="DIR", help="gets the run folders"
    )
    return made


def run(main: Callable[[], None]) -> None:
    """Runs a benchmark; an expected failure is one line and an exit code."""
    try:
        main()
    except HwticketsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def search_config(file: Path | None, **overrides: Any) -> SearchConfig:
    """The configuration in `file`, by default the demo's, with some keys replaced; None keeps the file's."""
    given = {key: value for key, value in overrides.items() if value is not None}
    return load_config(file or named_config("demo"), given)


def input_shape(text: str) -> tuple[int, int, int]:
    """Channels, height and width (pixels) from "CxHxW"; for argparse."""
    channels, height, width = (int(part) for part in text.split("x"))
    return channels, height, width


def empty_space(supernet: SupernetConfig, shape: tuple[int, int, int]) -> SearchSpace:
    """The search space of a supernet for inputs of a shape, without data."""
    return SearchSpace(build_supernet(supernet.name, shape, CLASSES, supernet.sizes), supernet.name)


def machine() -> dict[str, Any]:
    """What a figure depends on: processor, load average over 1, 5 and 15 minutes, versions."""
    load = [round(value, 2) for value in os.getloadavg()]
    return {"cpu": cpu_model(), "cores": os.cpu_count(), "load_average": load, "versions": versions()}


class Points:
    """Finished points of a benchmark, one JSON line each.

    Args:
        benchmark: Name of the benchmark.
        output: The file; None keeps nothing.
        settings: What every point depends on besides its own key; the processor is added.
    """

    def __init__(self, benchmark: str, output: Path | None, settings: Mapping[str, Any]) -> None:
        self._output = output
        self._common = {
            "benchmark": benchmark,
            "settings": _short_hash({**plain(settings), "cpu": cpu_model()}),
        }
        self._records = files.read_jsonl(output, "benchmark results") if output else []

    def once(self, key: Mapping[str, Any], measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The result of a point: as it was measured before, also by an earlier run into the file, else now.

        Args:
            key: What the point is, e.g. {"seed": 0, "budget": "40%"}.
            measure: Returns the result, JSON-able.
        """
        wanted = {**self._common, "point": plain(key)}
        for record in self._records:
            if all(record.get(name) == value for name, value in wanted.items()):
                return dict(record["result"])
        result: dict[str, Any] = plain(measure())
        finished = time.strftime("%Y-%m-%d %H:%M:%S")
        record = {**wanted, "result": result, "finished": finished, "machine": machine()}
        self._records.append(record)
        if self._output is not None:
            files.append_jsonl(self._output, record)
        return result


@dataclass(frozen=True)
class Table:
    """A table for people.

    Attributes:
        title: One line above it.
        columns: Names of the columns.
        rows: Cells as texts.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def text(self) -> str:
        """The table with its columns aligned: words to the left, numbers to the right."""
        columns = [_aligned(name, cells) for name, *cells in zip(self.columns, *self.rows, strict=True)]
        lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
        return "\n".join([self.title, lines[0], "-" * max(map(len, lines)), *lines[1:]])


def show(result: Mapping[str, Any], tables: Sequence[Table], as_json: bool) -> None:
    """Prints a result with the command and the machine: as tables, or as one JSON value."""
    command = shlex.join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    here = machine()
    if as_json:
        print_json({"command": command, "machine": here, **result})
        return
    print(f"command   {command}")
    print(f"machine   {here['cpu']}, {here['cores']} cores, load average {here['load_average']}")
    print(f"versions  {', '.join(f'{name} {version}' for name, version in here['versions'].items())}")
    for table in tables:
        print(f"\n{table.text()}")


def grouped(entries: Sequence[dict[str, Any]], *names: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Entries by the values of some of their keys, in the order in which these appear."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(tuple(entry[name] for name in names), []).append(entry)
    return groups


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def microseconds(latency_ms: float) -> str:
    """A latency in microseconds, for networks that take less than a millisecond."""
    return f"{1000 * latency_ms:.1f} us"


def ratio_text(ratio: Mapping[str, float]) -> str:
    """A ratio with its 95 % interval, e.g. "1.02 (1.01-1.03)"."""
    return f"{ratio['median']:.3f} ({ratio['low']:.3f}-{ratio['high']:.3f})"


def mean_and_range(shares: Sequence[float]) -> str:
    """Mean, smallest and largest of shares as percentages, e.g. "40.1 % (39.8 % to 40.3 %)"."""
    return f"{percent(statistics.fmean(shares))} ({percent(min(shares))} to {percent(max(shares))})"


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and sample standard deviation, e.g. "88.60 ± 0.21"; the mean alone where there is one value."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def numbers(text: str) -> list[int]:
    """Whole numbers from "0,1,2"; for argparse."""
    return [int(part) for part in text.split(",")]


def texts(text: str) -> list[str]:
    """Texts from "40%,20%"; for argparse."""
    found = [part.strip() for part in text.split(",") if part.strip()]
    if not found:
        raise UsageError(f"'{text}' names nothing; write it as 40%,20%")
    return found


def _aligned(name: str, cells: Sequence[str]) -> list[str]:
    width = max(map(len, (name, *cells)))
    words = any(cell[:1].isalpha() for cell in cells)
    return [cell.ljust(width) if words else cell.rjust(width) for cell in (name, *cells)]


def _short_hash(settings: Mapping[str, Any]) -> str:
    return files.sha256_of(json.dumps(settings, sort_keys=True).encode())[:12]
