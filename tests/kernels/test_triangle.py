"""Ranks of the strict upper triangle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netspectra.kernels.triangle import rank_upper, unrank_upper

LARGEST = 90_000_000


@pytest.mark.parametrize("size", [1, 2, 3, 10, 57])
def test_ranks_count_the_triangle_in_row_major_order(size):
    rows, cols = np.triu_indices(size, k=1)
    ranks = np.arange(rows.size)
    np.testing.assert_array_equal(rank_upper(rows, cols, size), ranks)
    for found, expected in zip(unrank_upper(ranks, size), (rows, cols), strict=True):
        np.testing.assert_array_equal(found, expected)


@given(size=st.integers(2, LARGEST), where=st.floats(0, 1))
@example(size=LARGEST, where=0.0)
@example(size=LARGEST, where=1.0)
@example(size=2, where=0.0)
def test_ranks_round_trip(size, where):
    count = size * (size - 1) // 2
    middle = min(int(where * count), count - 1)
    ranks = np.unique(np.clip(np.arange(middle - 20, middle + 20), 0, count - 1))
    rows, cols = unrank_upper(ranks, size)
    assert ((rows >= 0) & (rows < cols) & (cols < size)).all()
    np.testing.assert_array_equal(rank_upper(rows, cols, size), ranks)


@given(size=st.integers(3, LARGEST), row=st.integers(0, LARGEST))
@example(size=LARGEST, row=0)
@example(size=LARGEST, row=LARGEST - 2)
@example(size=LARGEST, row=LARGEST // 2)
def test_ends_of_rows_round_trip(size, row):
    row = row % (size - 1)
    ends = np.array([row + 1, size - 1])
    ranks = rank_upper(np.array([row, row]), ends, size)
    rows, cols = unrank_upper(ranks, size)
    assert rows.tolist() == [row, row]
    assert cols.tolist() == ends.tolist()


def test_the_last_entry_of_the_largest_matrix():
    rows, cols = unrank_upper(np.array([0, LARGEST * (LARGEST - 1) // 2 - 1]), LARGEST)
    assert (rows.tolist(), cols.tolist()) == ([0, LARGEST - 2], [1, LARGEST - 1])
