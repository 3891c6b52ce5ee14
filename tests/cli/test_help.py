from __future__ import annotations

import subprocess
import sys

import pytest

_VERBS = [
    "demo",
    "devices list",
    "devices show",
    "devices remove",
    "devices check",
    "table build",
    "table check",
    "table info",
    "profile",
    "search",
    "draw",
    "retrain",
    "transfer",
    "export",
    "verify",
    "benchmark",
    "report",
]
_PROGRAM = [sys.executable, "-c", "from hwtickets.cli.main import main; main()"]


def _help(*arguments: str) -> str:
    done = subprocess.run([*_PROGRAM, *arguments, "--help"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("verb", _VERBS)
def test_every_verb_has_a_help_with_an_example_and_json(verb: str) -> None:
    text = _help(*verb.split())
    assert f"Example: hwtickets {verb}" in text
    assert "--json" in text


def test_the_help_names_every_verb_and_where_to_start() -> None:
    text = _help()
    assert all(verb.split()[0] in text for verb in _VERBS)
    assert "Start with: hwtickets demo" in text


@pytest.mark.parametrize(
    "verb", [verb for verb in _VERBS if verb != "demo" and not verb.startswith("devices")]
)
def test_every_verb_with_settings_takes_them_from_a_file(verb: str) -> None:
    assert "--config" in _help(*verb.split())


def test_no_option_of_the_design_is_missing_from_search() -> None:
    text = _help("search")
    options = (
        "device latency macs size params task data supernet set epochs batch-size seed price sparsity "
        "reactivation resolution pipeline output-dir resume dry-run no-baseline compare"
    )
    assert [option for option in options.split() if f"--{option}" not in text] == []
