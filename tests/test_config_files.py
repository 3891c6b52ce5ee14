from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwtickets.config import LATER_KEYS
from hwtickets.config_files import load_config, named_config, parse_supernet, read_yaml, recorded_config
from hwtickets.errors import HwticketsError, UsageError
from hwtickets.supernets import build_supernet

_BUDGET = {"budgets": {"latency": "40%"}}


def test_options_go_before_the_file_and_join_its_budgets_and_sizes(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "epochs: 2\nseed: 5\nbudgets: {latency: 40%}\nsupernet: {name: mobile, sizes: {depth: 2, width: 8}}\n"
    )
    asked = {"seed": 1, "budgets": {"macs": "3M"}, "supernet": {"sizes": {"width": 16}}}
    config = load_config(file, asked)
    assert (config.epochs, config.seed) == (2.0, 1)
    assert config.budgets == {"latency": "40%", "macs": "3M"}
    assert config.supernet.sizes == {"depth": 2, "width": 16}


def test_a_file_may_spell_its_keys_as_the_options_do(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("latency: 40%\nsupernet: mobile\nbatch-size: 64\nbudgets: {macs: 3M}\n")
    config = load_config(file, {"budgets": {"latency": "8ms"}})
    assert config.budgets == {"latency": "8ms", "macs": "3M"}
    assert (config.supernet.name, config.batch_size) == ("mobile", 64)


@pytest.mark.parametrize(
    ("supernet", "title"),
    [
        ({"name": "mobile", "sizes": {"depth": 2}}, "mobile"),
        ({"name": "module", "sizes": {"reference": "timm:resnet18"}}, "timm:resnet18"),
        ({"name": "module", "sizes": {"reference": "my.nets:small-net"}}, "my.nets:small-net"),
        ({"name": "module", "sizes": {"reference": "live:Net-0a1b2c3d"}}, "Net"),
    ],
)
def test_a_network_is_called_by_what_its_user_knows_it_by(supernet: dict[str, Any], title: str) -> None:
    assert parse_supernet(supernet).title == title


def test_another_supernet_drops_the_sizes_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("budgets: {latency: 40%}\nsupernet: {name: mobile, sizes: {depth: 2}}\n")
    assert load_config(file, {"supernet": {"name": "other"}}).supernet.sizes == {}
    assert load_config(file, {"supernet": {"name": "mobile"}}).supernet.sizes == {"depth": 2}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no budget is given"),
        ({"budgets": {}}, "no budget is given"),
        ({"budgets": {"latency": 8}}, "no unit"),
        ({"budgets": {"latncy": "8ms"}}, "did you mean 'latency'"),
        ({**_BUDGET, "epoch": 3}, "unknown key 'epoch'; did you mean 'epochs'"),
        ({**_BUDGET, "supernet": {"nme": "x"}}, "did you mean 'supernet.name'"),
        ({**_BUDGET, "epochs": 0}, "'epochs' is not right: .* greater than 0"),
        ({**_BUDGET, "sparsity": 1.0}, "'sparsity' is not right"),
        ({**_BUDGET, "shrink_from": 0.9}, "shrink_from 0.9 lies after shrink_to 0.8"),
        ({**_BUDGET, "rewind_to": 0.3}, "rewind_to 0.3 lies after the first cut"),
        ({**_BUDGET, "price": "mac"}, "'latency' or 'macs'"),
        ({**_BUDGET, "learning_rate": float("nan")}, "'learning_rate' is not right"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        load_config(None, values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "right"), [("epoch", "epochs"), ("latncy", "latency"), ("modul", "module")]
)
def test_a_wrong_key_of_a_file_names_the_file(tmp_path: Path, wrong: str, right: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(f"budgets: {{latency: 40%}}\n{wrong}: 3\n")
    with pytest.raises(UsageError, match=rf"unknown key '{wrong}' in .*a\.yaml; did you mean '{right}'"):
        load_config(file, {})


@pytest.mark.parametrize("text", ["a: [1,", "- 1\n- 2", "3", "1: 2", "\x00", "a: 2024-99-99"])
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(HwticketsError, match=r"configuration .*a\.yaml is damaged") as caught:
        read_yaml(file, "configuration")
    assert "\n" not in str(caught.value)


def test_an_empty_file_has_no_values_and_a_missing_one_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    assert read_yaml(tmp_path / "a.yaml", "configuration") == {}
    with pytest.raises(HwticketsError, match="there is no configuration at"):
        load_config(tmp_path / "b.yaml", {})


def test_the_demo_is_a_configuration_that_ships() -> None:
    config = load_config(named_config("demo"), {})
    assert (config.device, config.budgets) == ("cpu", {"latency": "40%"})
    with pytest.raises(UsageError, match="did you mean 'demo'"):
        named_config("dmo")


def test_the_wide_supernet_is_a_configuration_that_builds() -> None:
    config = load_config(named_config("fashion-mnist-wide"), {})
    supernet = build_supernet(config.supernet.name, (1, 28, 28), 10, config.supernet.sizes)
    assert supernet.sizes["stages"][-1][0] == 96


def test_a_configuration_survives_its_own_values() -> None:
    config = load_config(None, _BUDGET)
    assert load_config(None, config.model_dump(mode="json")) == config


def test_the_record_of_an_earlier_version_has_the_defaults_of_later_keys() -> None:
    known = load_config(None, _BUDGET).model_dump(mode="json")
    earlier = {key: value for key, value in known.items() if key not in LATER_KEYS}
    assert len(earlier) < len(known)
    assert recorded_config(earlier, {}, Path("c.yaml")) == load_config(None, _BUDGET)
    del earlier["shrinks"]
    with pytest.raises(HwticketsError, match=r"c\.yaml is damaged: it lacks 'shrinks'"):
        recorded_config(earlier, {}, Path("c.yaml"))


def test_a_supernet_is_read_alone() -> None:
    assert parse_supernet({"sizes": {"depth": 2}}).name == "mobile"
    with pytest.raises(UsageError, match="did you mean 'sizes'"):
        parse_supernet({"size": {}})


@pytest.mark.parametrize(
    ("asked", "recipe"),
    [
        ({}, "distill"),
        ({"baseline": False}, "finetune"),
        ({"baseline": False, "teacher": "runs/x/ticket"}, "distill"),
        ({"recipe": "finetune"}, "finetune"),
    ],
)
def test_a_ticket_is_taught_where_there_is_a_teacher(asked: dict[str, Any], recipe: str) -> None:
    assert load_config(None, {"budgets": {"latency": "40%"}, **asked}).recipe == recipe


def test_distilling_without_a_teacher_is_refused() -> None:
    with pytest.raises(UsageError, match="needs a teacher"):
        load_config(None, {"budgets": {"latency": "40%"}, "baseline": False, "recipe": "distill"})
