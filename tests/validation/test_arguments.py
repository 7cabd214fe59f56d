"""The checks themselves: what they let through, in which form, and what they say otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.errors import GraphError
from netspectra.validation import (
    require_choice,
    require_clusters,
    require_count,
    require_labels,
    require_seed,
    require_tolerance,
)


@given(st.integers(-5, 5), st.integers(-5, 5))
def test_a_count_is_an_integer_of_at_least_the_minimum(value: int, minimum: int) -> None:
    if value >= minimum:
        assert require_count("n", value, minimum) == value
    else:
        with pytest.raises(GraphError, match=f"^n must be an integer of at least {minimum}, got {value}$"):
            require_count("n", value, minimum)


@pytest.mark.parametrize("value", [np.int8(3), np.uint64(3), np.array(3)])
def test_integers_of_numpy_are_integers(value: Any) -> None:
    assert type(require_count("n", value, 1)) is int
    assert type(require_seed(value)) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, np.float64(3), "3", None, [3], np.array([3]), 1j])
def test_nothing_else_is_an_integer(value: Any) -> None:
    with pytest.raises(GraphError, match="n must be an integer of at least 0, got "):
        require_count("n", value, 0)


@pytest.mark.parametrize("value", [0, 1, 2**63, 2**64 - 1, np.uint64(2**64 - 1)])
def test_a_seed_has_64_bits(value: Any) -> None:
    assert require_seed(value) == int(value)


@pytest.mark.parametrize("value", [-1, 2**64, True, 0.0, "0", b"0", (1,)])
def test_another_seed_is_refused(value: Any) -> None:
    with pytest.raises(GraphError, match=r"seed must be an integer in \[0, 2\*\*64\) or None, got "):
        require_seed(value)


def test_no_seed_draws_one() -> None:
    drawn = {require_seed(None) for _ in range(20)}
    assert len(drawn) == 20
    assert all(0 <= seed < 2**64 for seed in drawn)


@pytest.mark.parametrize("value", [1e-12, 0.5, np.float32(1e-3), np.float64(1e-3)])
def test_a_tolerance_is_a_number_between_0_and_1(value: Any) -> None:
    assert require_tolerance(value) == float(value)
    assert type(require_tolerance(value)) is float
    assert require_tolerance(None) is None


@pytest.mark.parametrize("value", [0, 1, 0.0, 1.0, -1e-5, float("nan"), float("inf"), True, False, "1e-5", [1e-5]])
def test_another_tolerance_is_refused(value: Any) -> None:
    with pytest.raises(GraphError, match=r"tol must be a number from 1e-14 .what float64 can reach. to 1 or None"):
        require_tolerance(value)


@pytest.mark.parametrize("value", ["Dense", "dense ", "", None, 0, ["dense"], b"dense"])
def test_a_choice_is_one_of_those_listed(value: Any) -> None:
    assert require_choice("solver", "dense", ("auto", "dense")) == "dense"
    with pytest.raises(GraphError) as caught:
        require_choice("solver", value, ("auto", "dense"))
    assert str(caught.value) == f"solver must be one of ['auto', 'dense'], got {value!r}"


def test_clusters_are_at_most_the_live_nodes() -> None:
    assert require_clusters("k", 7, 2, 7) == 7
    with pytest.raises(
        GraphError, match=r"k must be at most the number of non-isolated nodes \(7\), got 8; choose fewer"
    ):
        require_clusters("k", 8, 2, 7)
    with pytest.raises(GraphError, match="k must be an integer of at least 2, got 1"):
        require_clusters("k", 1, 2, 7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.int64, np.float32, np.float64])
def test_labels_are_whole_numbers_of_any_dtype(dtype: type) -> None:
    found = require_labels(np.array([0, 5, 2], dtype), 3)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [0, 5, 2])
    np.testing.assert_array_equal(require_labels([-1, 0, 1], 3), [-1, 0, 1])
