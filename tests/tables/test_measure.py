from __future__ import annotations

from pathlib import Path

import pytest

from hwtickets.devices import get_device, open_bench
from hwtickets.progress import Progress
from hwtickets.runtimes.profiling import node_times
from hwtickets.space.operators import GraphBuilder, OperatorGraph, OperatorSpec
from hwtickets.tables.measure import Journal, Latencies, measure_networks, operator_times
from hwtickets.tables.sampling import Space, reference_networks, sampled_networks
from hwtickets.tables.skeleton import random_inputs, skeleton_model


@pytest.fixture
def graph() -> OperatorGraph:
    builder = GraphBuilder(3, 8, 8)
    x = builder.conv("b", "expand", builder.graph.input, 16)
    builder.conv("b", "expand_k5", x, 16, 5, residual=x)
    return builder.graph


def test_times_of_nodes_add_up_to_their_operators(graph: OperatorGraph) -> None:
    nodes = {"b/expand_nchwc": 1.0, "b/expand_k5/Conv:0_nchwc": 2.0, "b/expand_k5/Add": 4.0}
    assert operator_times(graph, nodes) == {"b/expand": (1.0, 1), "b/expand_k5": (6.0, 2)}


def test_nodes_of_the_runtime_belong_to_the_operator_after_them_and_none_is_lost(
    graph: OperatorGraph,
) -> None:
    nodes = {
        "ReorderInput_token_1": 1.0,
        "b/expand": 2.0,
        "ReorderOutput": 4.0,
        "b/expand_k5/Add": 8.0,
        "y": 16.0,
    }
    assert operator_times(graph, nodes) == {"b/expand": (3.0, 2), "b/expand_k5": (28.0, 3)}


def test_what_the_runtime_makes_of_a_sum_and_a_norm_is_not_the_operator_after_them() -> None:
    builder = GraphBuilder(8, 6, 1)
    x = builder.graph.input
    rows = builder._append("b", "rows", OperatorSpec("linear", 8, 8, height=6), [x])
    total = builder._append("b", "add", OperatorSpec("add", 8, 8, height=6), [rows, x])
    normed = builder._append("b", "norm", OperatorSpec("layernorm", 8, 8, height=6), [total])
    builder._append("h", "rows", OperatorSpec("linear", 8, 4, height=6), [normed])
    graph = builder.graph
    found = node_times(skeleton_model(graph), random_inputs(graph), runs=1)
    assert "SkipLayerNormalization" in found, "the runtime leaves them apart: this test tests nothing"
    nodes = {
        "b/rows/1_MatMul": 1.0,
        "SkipLayerNormalization": 2.0,
        "Transpose_token_1": 4.0,
        "h/rows/9_Add": 8.0,
    }
    assert operator_times(graph, nodes) == {"b/rows": (1.0, 1), "b/add": (2.0, 1), "h/rows": (12.0, 2)}


def test_a_slow_spell_of_the_machine_is_taken_out() -> None:
    records = [{"median_ms": 1.0, "references_ms": [2.0], "ratios": [0.5], "runs": 5}] * 4
    slow = {"median_ms": 1.5, "references_ms": [3.0], "ratios": [0.5], "runs": 5}
    assert Latencies([*records, slow]).median_ms.tolist() == pytest.approx([1.0] * 5)


def test_what_counts_is_the_ratio_in_the_same_turns_not_those_of_the_medians() -> None:
    records = [{"median_ms": 1.0, "references_ms": [2.0], "ratios": [0.5], "runs": 5}] * 4
    # Half of its runs fell into a slow spell, a few less of the reference's: the median of one is in it.
    torn = {"median_ms": 1.5, "references_ms": [2.0], "ratios": [0.5], "runs": 5}
    assert Latencies([*records, torn]).median_ms.tolist() == pytest.approx([1.0] * 5)


@pytest.mark.parametrize(
    ("usual_ms", "slow_ms"), [(0.05, 0.05), (0.1, 0.1), (1.0, 1.5), (10.0, 22.5), (20.0, 45.0)]
)
def test_a_spell_that_slows_large_networks_down_the_most_is_taken_out(
    usual_ms: float, slow_ms: float
) -> None:
    usual = {"references_ms": [10.0, 0.1], "ratios": [usual_ms / 10.0, usual_ms / 0.1], "runs": 5}
    records = [{"median_ms": usual_ms, **usual}] * 4
    spell = {"references_ms": [22.5, 0.1], "ratios": [slow_ms / 22.5, slow_ms / 0.1], "runs": 5}
    slow = {"median_ms": slow_ms, **spell}
    assert Latencies([*records, slow]).median_ms.tolist() == pytest.approx([usual_ms] * 5, rel=0.03)


def test_a_second_process_measures_only_what_is_missing(space: Space, tmp_path: Path) -> None:
    graphs, references = sampled_networks(space, 16, 4, seed=0), reference_networks(space, 16)
    file, bench = tmp_path / "journal.jsonl", open_bench(get_device("cpu"))
    with Progress(quiet=True).stage("first") as stage:
        measure_networks(graphs[:2], references, bench, Journal(file, {"seed": 0}), stage)
    first = Journal(file, {"seed": 0}).all("network")
    with Progress(quiet=True).stage("second") as stage:
        both = measure_networks(graphs, references, bench, Journal(file, {"seed": 0}), stage)
        assert stage.done == 2
    assert len(both.runs) == 4
    assert Journal(file, {"seed": 0}).all("network")[:2] == first


def test_another_plan_starts_over(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    Journal(file, {"seed": 0}).put("network", 0, median_ms=1.0)
    assert Journal(file, {"seed": 0}).count("network") == 1
    assert Journal(file, {"seed": 1}).count("network") == 0


def test_a_line_torn_by_a_kill_is_measured_again(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, {"seed": 0})
    journal.put("network", 0, median_ms=1.0)
    journal.put("network", 1, median_ms=2.0)
    file.write_bytes(file.read_bytes()[:-5])
    again = Journal(file, {"seed": 0})
    assert again.get("network", 0) is not None
    assert again.get("network", 1) is None


def test_a_plan_that_takes_the_place_of_another_says_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    assert Journal(file, {"seed": 0, "most_networks": 7}).dropped == ""
    assert Journal(file, {"seed": 0, "most_networks": 7}).dropped == ""
    assert Journal(file, {"seed": 1, "most_networks": 7}).dropped == "seed"
    assert Journal(file, {"seed": 1, "space": "a"}).dropped == "most networks, space"
