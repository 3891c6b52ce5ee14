from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwtickets.errors import UsageError
from hwtickets.prediction.cell import CONV1, CONV3, EDGES, IDENTITY, NOTHING, OPERATIONS, POOL, Cell

OPERATION = st.sampled_from(OPERATIONS)
CELLS = st.tuples(*[OPERATION] * len(EDGES)).map(Cell)


def reaches(cell: Cell, edge: int) -> bool:
    """Whether there is a way from the input over this edge to the output."""
    open_edges = {
        ends for ends, operation in zip(EDGES, cell.operations, strict=True) if operation != NOTHING
    }

    def way(start: int, end: int) -> bool:
        return start == end or any(way(after, end) for before, after in open_edges if before == start)

    start, end = EDGES[edge]
    return EDGES[edge] in open_edges and way(0, start) and way(end, 3)


def swapped(cell: Cell) -> Cell:
    """The same graph, nodes 1 and 2 exchanged; nothing may be between them."""
    e01, e02, e12, e03, e13, e23 = cell.operations
    return Cell((e02, e01, e12, e03, e23, e13))


def test_the_notation_of_the_benchmark_is_read() -> None:
    cell = Cell.parse("|avg_pool_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|")
    assert cell.operations == (POOL, NOTHING, IDENTITY, CONV1, NOTHING, CONV3)


@pytest.mark.parametrize("text", ["", "|nor_conv_3x3~0|", "|a~0|+|b~0|c~1|+|d~0|e~1|f~2|"])
def test_what_is_no_cell_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no cell"):
        Cell.parse(text)


@given(CELLS)
def test_live_are_the_operations_on_a_way_from_input_to_output(cell: Cell) -> None:
    expected = tuple(
        operation if reaches(cell, edge) else NOTHING for edge, operation in enumerate(cell.operations)
    )
    assert cell.kept == expected


@given(CELLS)
def test_the_names_of_the_nodes_do_not_matter(cell: Cell) -> None:
    separate = Cell((*cell.operations[:2], NOTHING, *cell.operations[3:]))
    assert swapped(separate).live == separate.live


@given(CELLS)
def test_dead_operations_have_no_multiply_accumulates(cell: Cell) -> None:
    assert Cell(cell.kept).macs == cell.macs


def test_roles_tell_why_an_operation_is_dead() -> None:
    unread = Cell((CONV3, CONV3, CONV3, IDENTITY, NOTHING, NOTHING))
    assert unread.roles[1:3] == ("summed", "summed")
    assert Cell((CONV3, NOTHING, CONV3, IDENTITY, NOTHING, NOTHING)).roles[2] == "lone"
    assert Cell((NOTHING, CONV3, CONV1, IDENTITY, CONV3, CONV1)).roles[2:5:2] == ("zeros", "zeros")
    assert Cell((CONV3, NOTHING, NOTHING, IDENTITY, CONV1, CONV3)).roles[5] == "zero sum"
    assert set(Cell((CONV3, CONV3, CONV3, NOTHING, NOTHING, NOTHING)).roles) == {"constant"}
