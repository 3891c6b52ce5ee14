from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.prediction.cell import CONV1, CONV3, IDENTITY, NOTHING, OPERATIONS, POOL, Cell
from hwtickets.prediction.cells import cell_features, cell_macs

OPERATION = st.sampled_from(OPERATIONS)
REAL = st.sampled_from([operation for operation in OPERATIONS if operation != NOTHING])


@given(st.tuples(REAL, REAL, OPERATION, REAL, REAL))
def test_isomorphic_cells_have_the_same_features(operations: tuple[str, ...]) -> None:
    e01, e02, e03, e13, e23 = operations
    pair = cell_features([Cell((e01, e02, NOTHING, e03, e13, e23)), Cell((e02, e01, NOTHING, e03, e23, e13))])
    assert np.array_equal(pair.work[0], pair.work[1])
    for values in pair.traits.values():
        assert np.array_equal(values[0], values[1])


@given(st.lists(st.tuples(*[OPERATION] * 6).map(Cell), max_size=5))
def test_every_operation_is_counted_once_in_total_and_once_by_role(cells: list[Cell]) -> None:
    features = cell_features(cells)
    assert len(features) == len(cells)
    assert np.array_equal(features.work[:, :5].sum(axis=1), np.full(len(cells), 6.0))
    assert np.array_equal(features.work[:, 5:].sum(axis=1), np.full(len(cells), 6.0))


def test_the_longest_path_and_the_sums_of_a_cell() -> None:
    cell = Cell((CONV3, CONV1, CONV3, IDENTITY, NOTHING, POOL))
    traits = cell_features([cell]).traits
    depth, only_large, convolutions, _ = traits["depth"][0]
    assert (depth, only_large, convolutions) == (3, 2, 2)
    assert traits["sums"][0].tolist() == [2, 1]
    assert cell_macs([cell])[0] > cell_macs([Cell((NOTHING,) * 6)])[0] > 0
