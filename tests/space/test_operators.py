from __future__ import annotations

from dataclasses import replace

from hwtickets.space.operators import GraphBuilder, OperatorSpec


def test_fields_that_came_later_are_named_where_they_say_something() -> None:
    spec = OperatorSpec("conv", 8, 16, 3, 2, 1, 9, 7, "relu", True)
    assert repr(spec) == (
        "OperatorSpec(kind='conv', c_in=8, c_out=16, kernel=3, stride=2, groups=1, height=9, width=7,"
        " activation='relu', residual=True, hidden=0, dilation=1)"
    ), "names of tables that are measured already are hashes of this text"
    resized = replace(spec, out_height=4)
    assert eval(repr(resized)) == resized != spec


def test_a_resize_has_the_size_that_was_asked_for_and_none_is_no_operator() -> None:
    builder = GraphBuilder(6, 9, 7)
    x = builder.graph.input
    assert builder.resize("b", "same", x, 9, 7) is x
    y = builder.resize("b", "up", x, 18, 14, "nearest")
    y = builder.resize("b", "fit", y, 17, 13)
    assert (y.channels, y.height, y.width) == (6, 17, 13)
    up, fit = builder.graph
    assert (up.spec.kind, fit.spec.kind) == ("nearest", "resize")
    assert (up.spec.macs, fit.spec.params) == (0, 0)
    assert fit.spec.bytes_moved == 4 * 6 * (18 * 14 + 17 * 13)


def test_a_sum_and_an_activation_keep_the_shape() -> None:
    builder = GraphBuilder(6, 9, 7)
    x = builder.graph.input
    builder.relu("b", "relu", builder.add("b", "add", [x, x], "relu"))
    add, relu = builder.graph
    assert (add.spec.activation, add.inputs) == ("relu", ("x", "x"))
    assert relu.output == replace(x, name="b/relu")


def test_a_transformer_counts_its_products_by_tokens() -> None:
    builder = GraphBuilder(12, 8, 8)
    builder.transformer("b", "tokens", builder.graph.input)
    (operator,) = builder.graph
    layer = 6 * 12 * 64 * 64 + 2 * 12 * 12 * 64
    assert operator.spec.macs == 2 * layer
    assert operator.spec.params == 12 * 64 + 2 * (6 * 64 * 64 + 2 * 2 * 64)
    assert operator.output == replace(builder.graph.input, name="b/tokens")
    assert operator.spec.bytes_moved > 4 * operator.spec.params
