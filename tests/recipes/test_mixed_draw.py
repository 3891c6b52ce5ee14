"""From a trained run to a ticket whose precisions were drawn with its widths, on this machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from hwtickets import api
from hwtickets.cli.main import run as command
from hwtickets.config import SearchConfig
from hwtickets.deploy.bundle import read_bundle
from hwtickets.devices import device_fingerprint, get_device
from hwtickets.devices.profile import DeviceProfile
from hwtickets.devices.registry import profile_path, save_profile
from hwtickets.errors import UsageError
from hwtickets.files import read_json
from hwtickets.progress import Progress
from hwtickets.report.schema import read_report
from hwtickets.search.job import Job
from hwtickets.search.profiled import profiled
from hwtickets.sparsity.ticket import precisions_of
from hwtickets.tables import LatencyTable, load_table, save_table

QUIET = Progress(quiet=True)
PARTS = ["blocks.0", "blocks.1", "stem", "head"]
Search = Callable[..., dict[str, Any]]


def _in_int8(table: LatencyTable) -> LatencyTable:
    """A table in int8 that is made up: half of what fp32 takes, but in the stem ten times as much."""
    rows = {
        spec: replace(row, latency_ms=row.latency_ms * (10 if spec.c_in == 1 and not spec.depthwise else 0.5))
        for spec, row in table.rows.items()
    }
    fingerprint = {**table.fingerprint, "precision": "int8"}
    return replace(table, precision="int8", rows=rows, fingerprint=fingerprint)


def _quantized(graph: onnx.GraphProto, parts: Collection[str]) -> set[str]:
    """Parts with a convolution whose weights are read through DequantizeLinear."""
    made = {output: node.op_type for node in graph.node for output in node.output}
    found = [node.name for node in graph.node if node.op_type == "Conv" and node.input[1] in made]
    return {part for part in parts if any(name.startswith(part) for name in found)}


def _check_bundle(folder: Path, chosen: dict[str, str], drop: float) -> None:
    """The deployed graph is the mix that was drawn, and the verbs for bundles take it."""
    bundle = read_bundle(folder)
    conversion = bundle.facts["conversion"]
    assert {part: own["precision"] for part, own in conversion["parts"].items()} == chosen
    assert drop == conversion["score_fp32"] - conversion["score"]
    in_int8 = {part for part, precision in chosen.items() if precision == "int8"}
    assert _quantized(onnx.load(bundle.model_path).graph, chosen) == in_int8
    assert api.verify(folder, "cpu", 10)["precision"] == "mixed"
    assert api.benchmark(folder, "cpu", 5, None)["precision"] == "mixed"


@pytest.fixture
def tables(copied: Path, tmp_path: Path) -> Path:
    """Tables of the run's space in two precisions."""
    folder = tmp_path / "tables"
    table = load_table(copied / "state" / "table", "onnxruntime", "fp32")
    save_table(table, folder)
    save_table(_in_int8(table), folder)
    known = device_fingerprint(get_device("cpu"), "int8")
    assert load_table(folder, "onnxruntime", "int8").fingerprint["flags"] == known["flags"]
    return folder


@pytest.fixture
def once(copied: Path) -> Path:
    """The run, whose draws are measured once."""
    _set(copied, max_draws=1)
    return copied


def _set(run: Path, **values: Any) -> None:
    """Changes what a run was asked for."""
    file = run / "config.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **values}))


def test_a_mixed_ticket_is_exported_as_promised_and_measured(
    once: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Prices are made up, but the device has the last word: whether the budget holds, it says.
    code = command(
        [
            *("draw", str(once), "--latency", "80%", "--no-finetune", "--table", str(tables), "--json"),
            *("--precision", "mixed", "--max-drop", "100"),
        ]
    )
    assert code in (0, 3), capsys.readouterr().err
    folder = once / "draws" / "mixed-latency-80pc"
    entry, facts = (read_json(folder / f"{name}.json", name) for name in ("entry", "device"))
    (budget,) = facts["budgets"]
    assert (code == 0) == budget["kept"] == (budget["value"] <= budget["limit"])
    chosen = precisions_of(folder / "ticket")
    assert sorted(chosen) == sorted(PARTS) and set(chosen.values()) <= {"fp32", "int8"}
    assert entry["precisions"] == chosen
    _check_bundle(folder / "bundle", chosen, entry["drop"])
    assert facts["device"]["precision"] == "mixed" and "Drawn with the widths" in " ".join(facts["notes"])
    api.report([once], once / "page")
    shown = read_report(read_json(once / "page" / "report.json", "report"))
    assert [ticket.precisions for run in shown.runs for ticket in run.tickets if ticket.precisions] == [
        chosen
    ]


def test_precisions_that_lose_more_than_they_may_do_not_pass(once: Path, tables: Path) -> None:
    """With nothing to lose, as the run says, every part stays in fp32, and the draw is that of fp32."""
    budgets = {"latency": "90%"}
    _set(once, max_drop=0.0)
    entry = api.draw(once, budgets, 0.0, QUIET, precision="mixed", table=tables)
    assert set(entry["precisions"].values()) == {"fp32"} and entry["drop"] == entry["max_drop"] == 0
    with pytest.raises(UsageError, match="largest drop is a number of points from 0 on"):
        api.draw(once, budgets, 0.0, QUIET, precision="mixed", table=tables, max_drop=-1.0)


def test_a_second_table_has_to_be_there(copied: Path) -> None:
    wanted = (
        r"^--precision mixed needs latency tables of cpu in two precisions; there is one of fp32 only, build"
        r" one: hwtickets table build --device cpu --supernet mobile --set stem_channels=8 .*"
        r" --input 1x12x12 --classes 10 --precision int8$"
    )
    with pytest.raises(UsageError, match=wanted) as raised:
        api.draw(copied, {"latency": "50%"}, 0.0, QUIET, precision="mixed")
    assert "--set 'stages=[[16, 1, 1], [16, 1, 2]]'" in str(raised.value)
    assert not (copied / "draws").exists()
    assert "precisions" not in (copied / "ticket" / "ticket.json").read_text(), "nothing new in those of fp32"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"budgets": {"macs": "50%"}}, "is a choice under a latency: give --latency"),
        ({"price": "macs"}, "is a choice under a latency"),
        ({"pipeline": "uniform", "baseline": False}, "pipeline uniform draws by no value"),
        ({"device": "cpu-pytorch"}, "cpu-pytorch runs no graphs of several precisions"),
    ],
)
def test_what_has_no_choice_of_precisions_says_so(
    settings: dict[str, Any], more: dict[str, Any], message: str
) -> None:
    asked = {**settings, "budgets": {"latency": "50%"}, "precision": "mixed", **more}
    with pytest.raises(UsageError, match=re.escape(message)):
        api.profile(SearchConfig.model_validate(asked), QUIET)


@pytest.fixture
def board(tables: Path) -> Any:
    """A device that two tables describe and nobody has; what 8 bits gain there is not left to chance."""
    name = "toyboard-mixed"
    for precision in ("fp32", "int8"):
        table = load_table(tables, "onnxruntime", precision)
        fingerprint = {"device": name, "precision": precision}
        faster = 0.6 if precision == "int8" else 1.0
        calibration = replace(
            table.calibration,
            **{field: faster * value for field, value in asdict(table.calibration).items()},
        )
        changed = replace(table, device=name, fingerprint=fingerprint, calibration=calibration)
        save_table(changed, tables.with_name("board"))
    facts = {"description": "a toy", "connection": "none", "precisions": ("fp32", "int8")}
    save_profile(DeviceProfile.model_validate({"name": name, **facts}))
    yield name, tables.with_name("board")
    profile_path(name).unlink()


def test_a_device_that_only_tables_describe_gets_a_mix_that_is_called_predicted(
    copied: Path, board: tuple[str, Path]
) -> None:
    name, folder = board
    budgets = {"latency": "55%"}
    entry = api.draw(copied, budgets, 0.0, QUIET, name, "mixed", folder, max_drop=100.0)
    assert entry["kept"] and not entry["measured"] and entry["latency_ms"] is None
    assert "int8" in entry["precisions"].values()
    _check_bundle(Path(entry["path"]) / "bundle", entry["precisions"], entry["drop"])
    facts = read_json(Path(entry["path"]) / "device.json", "device")
    assert "What a conversion between precisions costs is not known" in facts["notes"][-1]
    assert sum(block["ms"] for block in entry["blocks"]) == pytest.approx(entry["predicted_ms"])


def test_a_search_shrinks_by_the_cheapest_precision_and_ends_in_a_mix(
    search: Search, tables: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "searched"
    asked = {"precision": "mixed", "table": str(tables), "max_draws": 1, "epochs": 1, "shrinks": 1}
    report = search(folder, budgets={"latency": "60%"}, baseline=False, recipe="none", **asked)
    assert report["device"]["precision"] == "mixed"
    assert sorted(report["tickets"][0]["precisions"]) == sorted(PARTS)
    assert precisions_of(folder / "ticket") == report["tickets"][0]["precisions"]
    saved = read_json(folder / "state" / "profile.json", "profile")
    assert set(saved["mixed"]["corrections"]) == {"fp32", "int8"}
    assert saved["mixed"]["conversions"]["measured"] is True
    assert read_bundle(folder / "bundle").facts["precision"] == "mixed"


def test_a_profile_of_a_mix_reaches_below_that_of_fp32(settings: dict[str, Any], tables: Path) -> None:
    asked = {**settings, "budgets": {"latency": "60%"}, "table": str(tables)}
    smallest = {}
    for precision in ("fp32", "mixed"):
        config = SearchConfig.model_validate({**asked, "precision": precision})
        _, profile, mixed = profiled(Job.prepare(config, QUIET))
        smallest[precision] = profile.smallest["size"]
        assert (mixed is None) == (precision == "fp32")
    assert smallest["mixed"] == smallest["fp32"] / 4
