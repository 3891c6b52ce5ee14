from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from hwtickets.errors import UsageError
from hwtickets.resources import resource_dir
from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet
from hwtickets.tables.shipped import ALIASES, load_shipped, shipped_device, shipped_devices
from hwtickets.tables.table import LatencyTable

DEVICES = [device.name for device in shipped_devices()]
MOST_BYTES = 12e6


def analytic() -> Iterator[tuple[str, str, str]]:
    for device in shipped_devices():
        for table in device.tables:
            if table.kind == "calibrated analytic":
                yield device.name, table.runtime, table.precision


@pytest.fixture(scope="module", params=["1x28x28", "3x224x224"])
def space(request: pytest.FixtureRequest) -> SearchSpace:
    channels, height, width = map(int, request.param.split("x"))
    return SearchSpace(build_supernet("mobile", (channels, height, width), 10, {}), "mobile")


def predicted_ms(table: LatencyTable, space: SearchSpace, share: float) -> float:
    """Of the network with every unit at a share of its allowed widths."""
    widths = {}
    for unit in space.units:
        allowed = space.widths_allowed(unit, table.alignment)
        widths[unit] = allowed[round(share * (len(allowed) - 1))]
    return table.predict(space.graph(widths)).ms


def test_the_devices_of_the_sources_are_there_and_small_enough() -> None:
    boards = {"jetson-nano", "jetson-tx2-nx", "jetson-agx-xavier", "jetson-orin-nano", "jetson-agx-orin"}
    others = {"raspberry-pi-4", "raspberry-pi-5", "v100", "galaxy-note10", "pixel-3", "gtx-1080-ti"}
    assert boards | others <= set(DEVICES)
    files = [file for file in resource_dir("latency_tables").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


@pytest.mark.parametrize("name", DEVICES)
def test_every_table_is_whole_and_says_where_it_is_from(name: str) -> None:
    device = shipped_device(name)
    texts = {file.name for file in device.folder.glob("LICENSE-*")}
    assert texts and device.title and device.description
    for entry in device.tables:
        table = load_shipped(name, entry.runtime, entry.precision, entry.batch)
        told = table.describe()
        assert told["rows"] == entry.rows == len(table.rows)
        assert (table.roofline is None) == bool(table.rows)
        assert told["kind"] == entry.kind
        assert told["provenance"]["created_by"].startswith("python scripts/make_latency_tables.py")
        for source in told["provenance"]["source"]:
            assert source["url"].startswith("https://github.com/") and source["commit"] and source["licence"]


@pytest.mark.parametrize(("name", "runtime", "precision"), list(analytic()))
def test_an_analytic_table_prices_every_network_of_the_mobile_space(
    name: str, runtime: str, precision: str, space: SearchSpace
) -> None:
    table = load_shipped(name, runtime, precision)
    smallest, *between, dense = (predicted_ms(table, space, share) for share in (0, 0.3, 0.7, 1))
    assert 0 < smallest < dense
    assert [smallest, *between, dense] == sorted([smallest, *between, dense])
    graph = space.graph(space.dense())
    assert table.predict(graph).kinds == {"estimated": len(graph)}
    assert {"median_error", "mean_error", "p90_error", "networks"} <= set(table.error)
    assert 0 < table.error["median_error"] <= table.predict(graph).error_ms / table.predict(graph).ms


@pytest.mark.parametrize("name", ["jetson-orin-nano", "galaxy-note10", "gtx-1080-ti", "pixel-3"])
def test_a_measured_table_prices_the_mobile_space_too(name: str, space: SearchSpace) -> None:
    table = load_shipped(name)
    assert table.rows
    assert 0 < predicted_ms(table, space, 0) < predicted_ms(table, space, 1)


def test_a_row_is_answered_as_it_was_measured() -> None:
    table = load_shipped("v100", precision="int8", batch=32)
    spec, row = next(iter(table.rows.items()))
    assert table.lookup(spec).ms == row.latency_ms
    assert table.lookup(spec).kind == "measured"
    assert table.batch == 32


def test_what_is_priced_without_evidence_says_so() -> None:
    table = load_shipped("jetson-nano", "tensorrt", "fp16")
    space = SearchSpace(build_supernet("mobile", (3, 224, 224), 10, {}), "mobile")
    answers = [table.lookup(operator.spec) for operator in space.graph(space.dense())]
    doubts = {
        operator.spec.depthwise: answer.error_share
        for operator, answer in zip(space.graph(space.dense()), answers, strict=True)
    }
    assert doubts[True] >= 1.0 > doubts[False]


def test_short_names_lead_to_a_jetson_with_tensorrt() -> None:
    assert ALIASES["jetson"] in DEVICES
    device = shipped_device("jetson")
    assert (device.default.runtime, device.default.precision) == ("tensorrt", "fp16")
    assert load_shipped("jetson").device == device.name


def test_what_does_not_ship_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown device 'jetson-nanoo' .*did you mean 'jetson-nano'"):
        load_shipped("jetson-nanoo")
    with pytest.raises(UsageError, match="no table 'int8-batch 1' ships for jetson-nano, only tensorrt-fp16"):
        load_shipped("jetson-nano", precision="int8")


def test_the_list_in_the_documents_is_that_of_the_tables() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "shipped-tables.md"
    line = r"^\| (?:`([\w-]+)`)? *\| `(.+?)` \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$"
    found = []
    for device in shipped_devices():
        for table in device.tables:
            prefix = "rows_" if table.rows else ""
            kept = f"{table.rows} measured {table.operators}"
            fitted = f"fitted to {table.error.get('networks')} networks"
            found.append(
                (
                    device.name if table is device.default else "",
                    table.key,
                    kept if table.rows else fitted,
                    f"{100 * table.error[f'{prefix}median_error']:.1f} %",
                    f"{100 * table.error[f'{prefix}mean_error']:.1f} %",
                    f"{100 * table.error[f'{prefix}within_10']:.0f} %",
                )
            )
    assert re.findall(line, page.read_text(encoding="utf-8"), re.MULTILINE) == found
