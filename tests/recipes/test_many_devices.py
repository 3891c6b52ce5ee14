from __future__ import annotations

import json
from pathlib import Path

import pytest

from hwtickets import api
from hwtickets.cli.main import run
from hwtickets.progress import Progress
from hwtickets.sparsity.ticket import Ticket, ticket_hash


def test_one_call_draws_a_ticket_for_each_device_and_budget(copied: Path) -> None:
    budgets = [{"macs": "60%"}, {"macs": "1%"}, {"macs": "35%"}]
    tickets = api.draw_each(copied, None, budgets, 0.25, Progress(quiet=True))
    assert [ticket["budget_text"] for ticket in tickets] == ["60%", "1%", "35%"]
    assert {ticket["device"] for ticket in tickets} == {"cpu"}
    wide, impossible, narrow = tickets
    assert impossible["kept"] is False and "the nearest feasible one is" in impossible["error"]
    assert wide["kept"] and narrow["kept"] and narrow["macs"] < wide["macs"]
    for ticket in (wide, narrow):
        folder = Path(ticket["path"]) / "ticket"
        assert ticket_hash(folder) == ticket["id"]
        assert Ticket.load(folder).provenance["steps"] == 2, "a quarter of 9 steps"


def test_the_command_line_takes_lists_and_fails_if_a_budget_is_missed(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["draw", str(copied), "--macs", "60%,1%", "--no-finetune", "--json"]) == 3
    shown = capsys.readouterr()
    tickets = json.loads(shown.out)["tickets"]
    assert [ticket["kept"] for ticket in tickets] == [True, False]
    assert "cpu, 1%: budget macs" in shown.err.strip().splitlines()[-1]
