from __future__ import annotations

import pytest

from hwtickets.runtimes import load, node_times
from hwtickets.runtimes.profiling import original_name


def test_every_operator_of_the_network_shows_up_in_order(model: bytes) -> None:
    times = node_times(model, load(model).random_inputs(), runs=10)
    names = [original_name(name) for name in times]
    first_seen = [
        next(i for i, name in enumerate(names) if name.startswith(part)) for part in ("stem", "body", "head")
    ]
    assert first_seen == sorted(first_seen)
    assert times[list(times)[first_seen[0]]].op_type == "Conv"
    assert all(time.mean_ms >= 0 for time in times.values())


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("a/conv_nchwc", "a/conv"),
        ("a/conv/Conv", "a/conv/Conv"),
        ("ReorderInput_token_12", "ReorderInput"),
        ("a/expand_k5_nchwc_token_3", "a/expand_k5"),
        ("InsertedPrecisionFreeCast_a/conv_nchwc", "a/conv"),
    ],
)
def test_names_given_by_the_runtime_are_undone(node: str, name: str) -> None:
    assert original_name(node) == name
