"""p, z, ties, percentile and intervals, against the formulas written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from netspectra.significance.statistics import cohens_d, compare, tie_width

VALUES = st.lists(st.sampled_from([1.0, 1.5, 2.0, 2.5, 3.0, math.nan]), min_size=1, max_size=40)


@given(st.sampled_from([0.5, 1.0, 1.75, 2.0, 3.5]), VALUES)
def test_every_statistic_is_its_formula(observed: float, values: list[float]) -> None:
    nulls = np.array(values)
    found = compare(observed, nulls, 1e-9)
    valid = [v for v in values if not math.isnan(v)]
    below = sum(v <= observed + 1e-9 for v in valid) + len(values) - len(valid)
    assert found.p_value == (1 + below) / (1 + len(values))
    assert found.percentile == pytest.approx(100 * below / len(values))
    if valid:
        assert found.null_mean == pytest.approx(sum(valid) / len(valid))
    if len(set(valid)) > 1:
        mean = sum(valid) / len(valid)
        sd = math.sqrt(sum((v - mean) ** 2 for v in valid) / (len(valid) - 1))
        assert found.null_sd == pytest.approx(sd)
        assert found.z_score == pytest.approx((observed - mean) / sd)
    else:
        assert math.isnan(found.z_score)


@pytest.mark.parametrize("n_nulls", [1, 19, 200])
def test_p_is_never_zero_and_at_most_one(n_nulls: int) -> None:
    nulls = np.linspace(1, 2, n_nulls)
    assert compare(0.0, nulls, 1e-9).p_value == 1 / (1 + n_nulls)
    assert compare(3.0, nulls, 1e-9).p_value == 1.0


def test_ties_count_and_so_does_what_failed() -> None:
    nulls = np.array([1.0, 2.0, 2.0 + 5e-9, 2.0 + 2e-8, 3.0, np.nan, np.nan])
    assert compare(2.0, nulls, 1e-8).p_value == (1 + 3 + 2) / 8
    assert compare(2.0, nulls, 1e-12).p_value == (1 + 2 + 2) / 8
    assert compare(2.0, nulls, 1e-8).null_mean == pytest.approx(2.0, abs=1e-8)


def test_tie_width_is_that_of_the_dtype_times_k() -> None:
    assert tie_width(12, float64=True) == pytest.approx(12e-9)
    assert tie_width(12, float64=False) == pytest.approx(12e-5)


@pytest.mark.parametrize(
    ("below", "n_nulls"), [(0, 1), (1, 1), (0, 50), (3, 50), (25, 50), (50, 50), (1, 1000), (999, 1000)]
)
def test_the_interval_is_clopper_and_pearsons(below: int, n_nulls: int) -> None:
    nulls = np.r_[np.zeros(below), np.ones(n_nulls - below)]
    low, high = compare(0.5, nulls, 1e-9).p_interval
    exact = stats.binomtest(below, n_nulls).proportion_ci(0.95, method="exact")
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_nulls_that_differ_by_rounding_only_do_not_vary() -> None:
    nulls = 2.0 + 1e-10 * np.arange(10)
    found = compare(2.0, nulls, 1e-9)
    assert math.isnan(found.z_score)
    assert found.p_value == 1.0
    assert math.isfinite(compare(2.0, nulls, 1e-12).z_score)


def test_where_all_nulls_failed_p_is_one_and_nothing_else_is_known() -> None:
    found = compare(2.0, np.full(4, np.nan), 1e-9)
    assert found.p_value == 1.0
    assert all(math.isnan(v) for v in (found.z_score, found.null_mean, found.null_sd))


@given(st.integers(0, 1000))
def test_cohens_d_is_the_difference_in_pooled_standard_deviations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = rng.normal(0, 2, 21), rng.normal(1, 1, 100)
    pooled = math.sqrt((one.var(ddof=1) + other.var(ddof=1)) / 2)
    assert cohens_d(one, np.r_[other, np.nan]) == pytest.approx((one.mean() - other.mean()) / pooled)


@pytest.mark.parametrize(
    ("observed", "nulls"),
    [([1.0], [1.0, 2.0]), ([1.0, 2.0], [1.0]), ([1.0, 1.0], [2.0, 2.0]), ([1.0, 1.0], [2.0, np.nan])],
)
def test_cohens_d_is_nan_where_nothing_varies(observed: Any, nulls: Any) -> None:
    assert math.isnan(cohens_d(np.array(observed), np.array(nulls)))
