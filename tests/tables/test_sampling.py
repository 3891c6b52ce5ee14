from __future__ import annotations

from typing import ClassVar

from hwtickets.tables.sampling import (
    Space,
    corner_networks,
    reference_networks,
    sampled_alignment,
    sampled_networks,
    space_id,
)


def test_the_corners_are_the_dense_network_in_each_form(space: Space) -> None:
    split, merged = corner_networks(space)
    assert len(split) > len(merged)
    assert split.macs < merged.macs


def test_the_references_are_the_ends_of_the_space(space: Space) -> None:
    largest, smallest = (graph.macs for graph in reference_networks(space, 8))
    macs = [graph.macs for graph in sampled_networks(space, 8, 20, seed=0)]
    assert smallest <= min(macs) < max(macs) <= largest


def test_one_seed_gives_one_sample(space: Space) -> None:
    assert sampled_networks(space, 8, 10, 1) == sampled_networks(space, 8, 10, 1)
    assert sampled_networks(space, 8, 10, 1) != sampled_networks(space, 8, 10, 2)


def test_every_width_and_form_of_every_unit_is_seen(space: Space) -> None:
    graphs = sampled_networks(space, 8, 60, seed=0)
    for block in ("b0", "b1"):
        for branch in ("k3", "k5"):
            name = f"{block}/depthwise_{branch}"
            seen = {op.spec.c_in for graph in graphs for op in graph if op.name == name}
            assert seen >= {8, 16, 24, 32}
        assert any(op.name == f"{block}/concat" for graph in graphs for op in graph)
        assert any(all(op.block != block for op in graph) for graph in graphs)


def test_branches_that_can_vanish_do_in_some_networks(space: Space) -> None:
    class Deep(type(space)):  # type: ignore[misc]
        branches: ClassVar = {"b1": ["b1.k3", "b1.k5"]}

        def module(self, widths: dict[str, int]) -> None:
            raise NotImplementedError

        def widths_allowed(self, unit: str, alignment: int) -> list[int]:
            return [8, 16, 24, 32]

    graphs = sampled_networks(Deep(), 8, 60, seed=0)
    assert 10 < sum(all(op.block != "b1" for op in graph) for graph in graphs) < 30
    assert all(any(op.block == "b0" for op in graph) for graph in graphs)


def test_a_space_too_narrow_for_the_device_is_sampled_in_smaller_steps(space: Space) -> None:
    assert sampled_alignment(space, 16) == 16
    assert sampled_alignment(space, 128) == 32, "units are 32 wide"

    class Fixed(type(space)):  # type: ignore[misc]
        def widths_allowed(self, unit: str, alignment: int) -> list[int]:
            return [1]

    assert sampled_alignment(Fixed(), 16) == 1


def test_small_and_large_networks_are_both_there(space: Space) -> None:
    sizes = [graph.macs / space.graph(space.dense()).macs for graph in sampled_networks(space, 8, 60, seed=0)]
    assert min(sizes) < 0.3
    assert max(sizes) > 0.8


def test_spaces_with_other_operators_have_other_names(space: Space) -> None:
    class Wider(type(space)):  # type: ignore[misc]
        def dense(self) -> dict[str, int]:
            return dict.fromkeys(self.units, 64)

    assert space_id(space) == space_id(type(space)())
    assert space_id(space) != space_id(Wider())
