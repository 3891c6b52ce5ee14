"""What a benchmark found besides the layers, as tiles of a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from hwtickets.budgets import format_amount

Tile = tuple[str, str, str]


def tiles(record: Mapping[str, Any]) -> str:
    """One tile a figure: what it is, the figure, and what belongs to it; a missing figure says why."""
    shown = "".join(_tile(*tile) for tile in _found(record))
    return f'<div class="tiles">{shown}</div>'


def _tile(title: str, figure: str, note: str) -> str:
    quiet = ' class="absent"' if figure == "not available" else ""
    shown = f"<span>{escape(title)}</span><b{quiet}>{escape(figure)}</b><span>{escape(note)}</span>"
    return f'<div class="tile">{shown}</div>'


def _found(record: Mapping[str, Any]) -> Iterator[Tile]:
    yield _latency("Latency, ticket", record["latency_ms"])
    if "dense_latency_ms" in record:
        yield _latency("Latency, dense", record["dense_latency_ms"])
        ratio = record["ratio"]
        interval = f"95 % interval {ratio['low']:.3f} to {ratio['high']:.3f}, in turns"
        yield "Of dense", f"{ratio['median']:.3f} ×", interval
    yield "Throughput, batch 1", _per_second(record["throughput_per_s"]), "images"
    for entry in record.get("throughput", []):
        yield _throughput(entry)
    for name, builds in record.get("builds", {}).items():
        medians = ", ".join(f"{value:.4g}" for value in builds["medians_ms"])
        yield f"Builds, {name}", f"{builds['spread_percent']:.1f} % apart", f"medians {medians} ms"
    yield from _first_run(record["first_run"])
    yield from _energy(record["energy"])
    yield _clocks(record["clocks_mhz"])
    yield "Throttling", *_split(record["throttling"], f"{record['discarded_runs']} runs discarded")


def _latency(title: str, latency: Mapping[str, Any]) -> Tile:
    note = f"p90 {latency['p90']:.4g}, p99 {latency['p99']:.4g}; {latency['runs']} runs, {latency['clock']}"
    return title, format_amount("latency", latency["p50"]), note


def _throughput(entry: Mapping[str, Any]) -> Tile:
    title = f"Throughput, batch {entry['batch']}"
    if "not_available" in entry:
        return title, "not available", entry["not_available"]
    dense = f", dense {_per_second(entry['dense_images_per_s'])}" if "dense_images_per_s" in entry else ""
    return title, _per_second(entry["images_per_s"]), f"{entry['latency_ms']:.4g} ms a batch{dense}"


def _per_second(count: float) -> str:
    shown = f"{count:.4g}" if count < 1000 else f"{count:,.0f}".replace(",", "\u202f")
    return f"{shown} / s"


def _first_run(found: Mapping[str, Any] | str) -> Iterator[Tile]:
    if isinstance(found, str):
        yield "First run", *_split(found)
        return
    total_ms = found["load_ms"] + found["first_ms"]
    note = f"{found['load_ms']:.4g} ms to load, {found['first_ms']:.4g} ms the first inference"
    yield "First run", format_amount("latency", total_ms), note
    if found["peak_bytes"] is None:
        yield "Memory", "not available", "the system does not tell the peak of a process"
        return
    before = format_amount("size", found["runtime_bytes"] or 0)
    yield (
        "Memory",
        format_amount("size", found["peak_bytes"]),
        f"peak of the process; {before} before the network",
    )


def _energy(found: Mapping[str, Any] | str) -> Iterator[Tile]:
    if isinstance(found, str):
        yield "Energy", *_split(found)
        return
    idle = f"{found['above_idle_mj']:.4g} mJ above idle; {found['sensor']}"
    yield "Energy an inference", format_amount("energy", found["total_mj"]), idle
    yield "Power", f"{found['power_mw'] / 1000:.3g} W", f"{found['idle_mw'] / 1000:.3g} W idle"


def _clocks(found: Mapping[str, Any] | str) -> Tile:
    if isinstance(found, str):
        return "Clocks", *_split(found)
    before, after = (
        ", ".join(f"{unit} {mhz}" for unit, mhz in found.get(moment, {}).items() if " " not in unit)
        for moment in ("before", "after")
    )
    return "Clocks (MHz)", after or "not available", f"before: {before}" if before else ""


def _split(text: str, note: str = "") -> tuple[str, str]:
    """A figure and its note of a text "figure: why"."""
    figure, _, reason = text.partition(": ")
    return figure, reason or note
