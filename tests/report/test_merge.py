from __future__ import annotations

import copy
from typing import Any

import pytest

from hwtickets.errors import UsageError
from hwtickets.report import merge_reports
from hwtickets.report.networks import list_networks
from hwtickets.report.schema import read_report


@pytest.fixture
def other(example: dict[str, Any]) -> dict[str, Any]:
    board = copy.deepcopy(example)
    board["title"] = "Test sample: board"
    board["device"]["name"] = "board"
    return board


def test_one_report_stays_as_it_is(example: dict[str, Any]) -> None:
    assert merge_reports([example]) == example
    assert merge_reports([example, copy.deepcopy(example)]) == example


def test_runs_keep_their_order_and_merge_again(example: dict[str, Any], other: dict[str, Any]) -> None:
    merged = merge_reports([example, other])
    assert merged["runs"] == [example, other]
    assert merge_reports([merged, other]) == merged


def test_badges_are_unique_over_all_runs(example: dict[str, Any], other: dict[str, Any]) -> None:
    networks = list_networks(read_report(merge_reports([example, other])))
    badges = [network.badge for network in networks]
    assert len(set(badges)) == len(badges) == 10
    assert {network.colour for network in networks[:5]}.isdisjoint(network.colour for network in networks[5:])


def test_different_metrics_do_not_share_an_axis(example: dict[str, Any], other: dict[str, Any]) -> None:
    other["task"] |= {"metric": "mean IoU"}
    with pytest.raises(UsageError, match=r"mean IoU.*top-1 accuracy"):
        merge_reports([example, other])


def test_nothing_to_merge_is_bad_usage() -> None:
    with pytest.raises(UsageError, match="no report"):
        merge_reports([])
