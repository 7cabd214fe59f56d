"""Reshapes, flattening and broadcasting of node labels, against the same done to full arrays of numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.errors import GraphError, LimitError
from netspectra.networks.values import Value, aligned, constant, flattened, reshaped


def labelled(shape, axis):
    """Nodes along one axis, positions along the others."""
    sides = [1] * len(shape)
    sides[axis] = shape[axis]
    return Value(tuple(shape), np.arange(shape[axis]).reshape(sides))


def spread(value):
    return np.broadcast_to(value.nodes, value.shape)


@st.composite
def reshapes(draw):
    """A shape, and another of as many places made by merging and cutting its axes."""
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 4, 6]), min_size=1, max_size=5))
    merged, i = [], 0
    while i < len(shape):
        n = draw(st.integers(1, len(shape) - i))
        merged.append(math.prod(shape[i : i + n]))
        i += n
    new = []
    for size in merged:
        first = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
        new += [first, size // first] if draw(st.booleans()) else [size]
    return shape, new


@given(reshapes(), st.data())
def test_a_reshape_of_labels_is_that_of_all_numbers(case, data):
    shape, new = case
    value = labelled(shape, data.draw(st.integers(0, len(shape) - 1)))
    again = reshaped(value, tuple(new))
    np.testing.assert_array_equal(spread(again), spread(value).reshape(new))
    assert reshaped(again, tuple(shape)).shape == tuple(shape)
    np.testing.assert_array_equal(spread(reshaped(again, tuple(shape))), spread(value))


def test_positions_stay_positions():
    value = reshaped(labelled((1, 8, 5, 6), 1), (1, 8, 30))
    assert value.nodes.shape == (1, 8, 1)
    heads = reshaped(labelled((2, 7, 12), 2), (2, 7, 3, 4))
    assert heads.nodes.shape == (1, 1, 3, 4)
    assert reshaped(heads, (14, 12)).nodes.shape == (1, 12)


def test_scales_move_with_their_nodes():
    value = Value((1, 4, 3), np.arange(4).reshape(1, 4, 1), np.arange(4.0).reshape(1, 4, 1))
    flat = reshaped(value, (1, 12))
    np.testing.assert_array_equal(flat.scale, flat.nodes)


def test_flatten_of_unknown_sizes_says_how_positions_lie():
    first = flattened(Value((1, 5, None, None), np.arange(5).reshape(1, 5, 1, 1)), 1, -1)
    assert (first.open_end, first.nodes.shape) == ("repeat", (1, 5))
    last = flattened(Value((1, None, None, 5), np.arange(5).reshape(1, 1, 1, 5)), 1, -1)
    assert last.open_end == "tile"
    known = flattened(Value((1, 2, 3), np.arange(2).reshape(1, 2, 1)), 1, -1)
    np.testing.assert_array_equal(known.nodes, [[0, 0, 0, 1, 1, 1]])


def test_what_cannot_be_reshaped_is_refused():
    with pytest.raises(GraphError, match="cannot be reshaped"):
        reshaped(labelled((2, 3), 1), (4, 2))
    with pytest.raises(GraphError, match="all sizes must be known"):
        reshaped(Value((1, 5, None), np.arange(5).reshape(1, 5, 1)), (1, 20))
    with pytest.raises(GraphError, match="axis 3"):
        labelled((2, 3), 1).axis(3)
    with pytest.raises(GraphError, match="do not fit together"):
        aligned([np.zeros((2, 3)), np.zeros((2, 4))])
    with pytest.raises(LimitError, match="places to tell apart"):
        reshaped(labelled((1, 10**5, 10**5), 1), (1, 10**10))


def test_a_constant_has_no_nodes_in_any_shape():
    assert not constant((2, 3)).has_nodes
    assert not reshaped(constant((2, 3)), (6,)).has_nodes
    assert constant(None).rank is None
