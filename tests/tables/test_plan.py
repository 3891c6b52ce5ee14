from __future__ import annotations

import itertools

from hwtickets.space.space import SearchSpace
from hwtickets.supernets import build_supernet
from hwtickets.tables.plan import Plan
from hwtickets.tables.sampling import Space, corner_networks


def test_calibration_and_check_are_networks_of_their_own() -> None:
    space = SearchSpace(build_supernet("mobile", (1, 28, 28), 10, {}), "mobile")
    plan = Plan(space, alignment=16, seed=0)
    parts = {"pool": plan.pool, "calibration": plan.calibration, "check": plan.check, "sample": plan.sample}
    operators = {name: {tuple(op.spec for op in graph) for graph in part} for name, part in parts.items()}
    for one, other in itertools.combinations(operators, 2):
        assert not operators[one] & operators[other]


def test_the_largest_networks_and_every_unit_come_first(space: Space) -> None:
    plan = Plan(space, alignment=8, seed=0)
    first = plan.pool[: plan.first]
    assert first[:2] == corner_networks(space)
    for block in ("b0", "b1"):
        for kernel in (3, 5):
            name = f"{block}/depthwise_k{kernel}"
            widths = {op.spec.c_in for graph in first for op in graph if op.name == name}
            assert len(widths) > 2


def test_all_that_may_be_measured_can_be_drawn(space: Space) -> None:
    plan = Plan(space, alignment=16, seed=3)
    for graph in [*plan.pool, *plan.calibration, *plan.check]:
        widths = {op.spec.c_in for op in graph if op.name.endswith(("depthwise_k3", "depthwise_k5"))}
        assert widths <= {16, 32, 48, 64}, "sums of aligned widths are aligned"


def test_another_seed_is_another_plan(space: Space) -> None:
    one, same, other = (Plan(space, alignment=8, seed=seed) for seed in (0, 0, 1))
    assert one.key == same.key and one.pool == same.pool
    assert one.key != other.key and one.pool != other.pool
    assert one.calibration != other.calibration


def test_a_limit_on_the_networks_is_kept(space: Space) -> None:
    plan = Plan(space, alignment=8, seed=0, networks=5)
    assert plan.most == plan.first == 7, "five, and the largest in two forms"
    assert len(plan.profiled) <= plan.first
