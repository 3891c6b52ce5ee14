"""A search that is killed, interrupted or repeated ends as an undisturbed one does."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwtickets.files import read_json

_BUDGET = ("--macs", "60%")


def test_a_run_killed_in_every_stage_ends_with_the_same_ticket(
    results: Callable[[Path], dict[str, str]], searches: Any, finished: Path, profiled: Path
) -> None:
    state = profiled / "state"
    kills = {
        "dense network": lambda: (state / "dense.safetensors").exists(),
        "search": lambda: (state / "latency" / "search.safetensors").exists(),
        "draw": lambda: len(list((state / "latency").glob("point-*"))) == 4,
        "finetune": lambda: bool(list(profiled.glob("finetune-*.safetensors"))),
        "measure": lambda: (profiled / "ticket" / "ticket.json").exists(),
    }
    for stage, reached in kills.items():
        code, output = searches.stopped(profiled, reached, signal.SIGKILL, *_BUDGET, "--resume")
        assert code == -signal.SIGKILL, (stage, output)
    assert not (profiled / "delivery.json").exists(), "no kill came too late"
    code, output = searches.run(profiled, *_BUDGET, "--resume")
    assert code == 0, output
    assert results(profiled) == results(finished)
    report = read_json(profiled / "report" / "report.json", "report")
    assert [point["step"] for point in report["history"]] == [13, 32, 50], "no shrink is told twice"


def test_an_interrupted_run_says_how_to_go_on_and_ends_with_the_same_ticket(
    results: Callable[[Path], dict[str, str]], searches: Any, finished: Path, profiled: Path
) -> None:
    reached = (profiled / "state" / "latency" / "search.safetensors").exists
    code, output = searches.stopped(profiled, reached, signal.SIGINT, *_BUDGET, "--resume")
    assert code == 130
    assert "Traceback" not in output
    last = output.strip().splitlines()[-1]
    again = last.partition("interrupted; go on with: hwtickets ")[2].split()
    assert again == [
        "search",
        "--config",
        f"{profiled}/config.yaml",
        "--output-dir",
        str(profiled),
        "--resume",
    ]
    process = searches.start(*again)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert results(profiled) == results(finished)


def test_a_kill_between_draws_keeps_what_was_measured(searches: Any, tmp_path: Path) -> None:
    folder, more = tmp_path / "run", ("--latency", "80%", "--no-baseline", "--epochs", "2")
    candidates = folder / "candidates.jsonl"

    def measured() -> bool:
        return candidates.exists() and candidates.read_text().endswith("\n")

    code, output = searches.stopped(folder, measured, signal.SIGKILL, *more)
    assert code == -signal.SIGKILL, output
    first = json.loads(candidates.read_text().splitlines()[0])
    code, output = searches.run(folder, *more, "--resume")
    assert code in (0, 3), output
    draws = read_json(folder / "delivery.json", "delivery")["draws"]
    assert draws[0]["measured_ms"] == first["measured_ms"]
    assert (
        f"draw 1: predicted {draws[0]['predicted_ms']:.4f} ms, measured {draws[0]['measured_ms']:.4f} ms"
        in output
    )
    kept = read_json(folder / "report" / "report.json", "report")["budgets"][0]["kept"]
    assert kept == (code == 0)


def test_a_run_that_is_finished_ends_at_once_and_unchanged(
    results: Callable[[Path], dict[str, str]], searches: Any, finished: Path, copied: Path
) -> None:
    before = results(copied)
    assert searches.run(copied, *_BUDGET, "--resume")[0] == 0
    assert results(copied) == before == results(finished)


def test_a_full_disk_is_one_line_and_leaves_no_half_file(searches: Any, profiled: Path) -> None:
    code, output = searches.run(profiled, *_BUDGET, "--resume", largest_file=20_000)
    assert code == 1
    assert "Traceback" not in output
    errors = [line for line in output.splitlines() if line.startswith("error: ")]
    assert errors == output.strip().splitlines()[-1:] and "cannot write" in errors[0]
    assert not list(profiled.rglob("*.tmp"))
    assert not (profiled / "state" / "dense.safetensors").exists()
