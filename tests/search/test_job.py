from __future__ import annotations

import io
from pathlib import Path

import pytest

from hwtickets.config import SearchConfig
from hwtickets.devices import DeviceProfile, get_device
from hwtickets.devices.registry import save_profile
from hwtickets.errors import UsageError
from hwtickets.progress import Progress
from hwtickets.search.job import resolved
from hwtickets.space.operators import OperatorSpec
from hwtickets.tables import LatencyTable, Row, save_table


def _resolved(**asked: object) -> tuple[SearchConfig, str]:
    """The resolved configuration and what was said about it."""
    said = io.StringIO()
    config = SearchConfig.model_validate({"budgets": {"latency": "40%"}, **asked})
    return resolved(config, Progress(stream=said)), said.getvalue()


def test_a_short_name_becomes_the_full_one_and_is_said() -> None:
    config, said = _resolved(device="jetson")
    assert config.device == get_device("jetson").name != "jetson"
    assert said.startswith(f"device jetson: taken as {config.device}")


def test_a_device_is_used_at_its_own_precision_unless_another_is_asked_for() -> None:
    assert _resolved(device="jetson")[0].precision == get_device("jetson").precisions[0] == "fp16"
    assert _resolved(device="v100", precision="int8")[0].precision == "int8"
    assert _resolved()[0].precision == "fp32"


def test_a_board_with_a_table_of_one_precision_is_used_at_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HWTICKETS_HOME", str(tmp_path))
    orin = {"name": "orin", "description": "", "connection": "ssh", "host": "nowhere.invalid"}
    save_profile(DeviceProfile(**orin, runtime="trtexec", precisions=("fp32", "fp16")))  # type: ignore[arg-type]
    rows = {OperatorSpec("conv", 8, 8): Row(1.0)}
    table = LatencyTable("orin", "trtexec", "fp16", 1, 8, {"device": "orin"}, rows)
    assert _resolved(device="orin")[0].precision == "fp32"
    save_table(table, tmp_path / "tables" / "orin-0123456789" / "mobile-01234567")
    config, said = _resolved(device="orin")
    assert (config.precision, said.strip()) == (
        "fp16",
        "precision fp16: orin has a table of mobile at no other one",
    )
    assert _resolved(device="orin", precision="fp32")[0].precision == "fp32"
    assert resolved(config, Progress(quiet=True)) == config


def test_a_precision_that_the_device_lacks_names_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"unknown precision of device cpu 'fp16'.* Known: fp32"):
        _resolved(precision="fp16")


def test_what_is_resolved_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    once, _ = _resolved(device="jetson", table="mine")
    assert once.table == str(tmp_path / "mine")
    monkeypatch.chdir("/")
    assert resolved(once, Progress(quiet=True)) == once
