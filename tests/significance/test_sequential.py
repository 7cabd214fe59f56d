"""p-values and intervals of tests that stop when the verdict is clear, by simulation and against the fixed test's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from significance.streams import Runs, run_many

from netspectra.significance.boundaries import FIRST_LOOK, RISK
from netspectra.significance.sequential import SequentialTest
from netspectra.significance.statistics import at_or_below, compare

N_MAX = 1000
LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8)


def simulated(p: float, n_streams: int, seed: int, n_max: int = N_MAX) -> Runs:
    """Run tests of nulls that are at or below the observed value with a probability of `p`."""
    return run_many(np.random.default_rng(seed).random((n_streams, n_max)) <= p)


@pytest.fixture(scope="module")
def under_the_null() -> Runs:
    """Run tests whose observed value is one of the nulls' own distribution."""
    rng = np.random.default_rng(7)
    return run_many(rng.random((6000, N_MAX)) <= rng.random((6000, 1)))


def test_p_is_uniform_under_the_null_hypothesis(under_the_null: Runs) -> None:
    p = under_the_null.p_value
    for level in LEVELS:
        share, error = float(np.mean(p <= level)), math.sqrt(level * (1 - level) / p.size)
        assert share < level + 3 * error
        if level >= 0.02:
            assert share > level - 3 * error - 1 / (FIRST_LOOK + 1), "but for its steps"


def test_ties_make_p_larger_never_smaller() -> None:
    rng = np.random.default_rng(8)
    observed, nulls = rng.integers(6, size=(2000, 1)), rng.integers(6, size=(2000, 500))
    p = run_many(nulls <= observed).p_value
    for level in LEVELS:
        assert np.mean(p <= level) < level + 3 * math.sqrt(level * (1 - level) / p.size)


@pytest.mark.parametrize("p", [0.003, 0.01, 0.03, 0.045, 0.05, 0.06, 0.1, 0.3, 0.7, 0.98])
def test_the_interval_holds_p_as_often_as_it_says(p: float) -> None:
    runs = simulated(p, 1500, seed=11)
    covered = np.mean((runs.low <= p) & (p <= runs.high))
    assert covered > 0.95 - 3 * math.sqrt(0.95 * 0.05 / 1500)
    assert ((runs.low <= runs.p_value + 1e-12) & (runs.p_value <= runs.high + 1e-12)).all()


@pytest.mark.parametrize("p", [0.02, 0.04, 0.048, 0.05, 0.055, 0.08])
def test_the_verdict_is_that_of_all_nulls(p: float) -> None:
    runs = simulated(p, 3000, seed=12)
    differ = int(np.sum((runs.p_value <= 0.05) != (runs.p_of_all <= 0.05)))
    assert differ <= 3000 * RISK + 3 * math.sqrt(3000 * RISK)


@pytest.mark.parametrize(
    ("p", "most"), [(0.0, 145), (0.001, 160), (0.01, 280), (0.1, 270), (0.2, 65), (0.5, 32.5), (1.0, 32)]
)
def test_clear_verdicts_need_few_nulls(p: float, most: float) -> None:
    assert simulated(p, 400, seed=13).n_used.mean() <= most
    assert simulated(p, 100, seed=13, n_max=5000).n_used.mean() <= 1.3 * most + 15


def test_a_borderline_verdict_needs_most_of_them() -> None:
    assert simulated(0.05, 300, seed=14).n_used.mean() > 800


@pytest.mark.parametrize("n_max", [1, 5, 19, 20, FIRST_LOOK])
def test_a_single_look_is_the_fixed_test(n_max: int) -> None:
    for count in range(n_max + 1):
        nulls = np.r_[np.zeros(count), np.full(n_max - count, 2.0)]
        test = SequentialTest(n_max)
        assert test.n_enough(nulls <= 1) == n_max
        one, other = test.compare(1.0, nulls, 1e-9), compare(1.0, nulls, 1e-9)
        assert one.p_value == pytest.approx(other.p_value)
        assert one.p_interval == pytest.approx(other.p_interval, abs=1e-9)
        assert (one.percentile, one.null_mean) == (other.percentile, other.null_mean)


def test_p_orders_outcomes_by_when_and_where_the_test_stopped() -> None:
    runs = [simulated(p, 300, seed=15) for p in (0.001, 0.02, 0.05, 0.1, 0.5)]
    n, p = np.concatenate([r.n_used for r in runs]), np.concatenate([r.p_value for r in runs])
    low, high = np.concatenate([r.low for r in runs]), np.concatenate([r.high for r in runs])
    order = np.lexsort((low, p))
    for values in (low[order], high[order]):
        assert (np.diff(values) > -1e-9).all()
    significant = p <= 0.05
    assert (np.diff(n[order][: significant.sum()]) >= 0).all()
    assert (np.diff(n[order][significant.sum() :]) <= 0).all()


def test_no_null_below_gives_the_fixed_p_of_as_many_nulls() -> None:
    test = SequentialTest(N_MAX)
    n = test.n_enough(np.zeros(N_MAX, bool))
    assert n == 145
    found = test.compare(0.0, np.ones(n), 1e-9)
    assert found.p_value == pytest.approx(1 / (n + 1))
    assert found.p_interval == pytest.approx((0.0, compare(0.0, np.ones(n), 1e-9).p_interval[1]), abs=1e-9)


@pytest.mark.parametrize("p", [0.002, 0.05, 0.2])
def test_how_nulls_come_changes_nothing(p: float) -> None:
    below = np.random.default_rng(16).random(N_MAX) <= p
    at_once = SequentialTest(N_MAX).n_enough(below)
    assert at_once == run_many(below[None]).n_used[0]
    for step in (1, 7, 64, 333):
        test, end = SequentialTest(N_MAX), 0
        while (enough := test.n_enough(below[:end])) is None:
            end = min(end + step, N_MAX)
        assert enough == at_once


def test_failed_nulls_and_ties_count_as_below() -> None:
    nulls = np.array([1.0, 1.0 + 1e-12, 0.5, np.nan, np.inf, 2.0])
    assert at_or_below(1.0, nulls, 1e-9).tolist() == [True, True, True, True, True, False]
    assert at_or_below(math.nan, nulls, 1e-9).tolist() == [False, False, False, True, True, False]
    failed = SequentialTest(N_MAX)
    n = failed.n_enough(at_or_below(1.0, np.full(N_MAX, np.nan), 1e-9))
    assert n == FIRST_LOOK
    assert failed.compare(1.0, np.full(n, np.nan), 1e-9).p_value == 1.0


def test_another_value_is_placed_among_the_nulls_drawn() -> None:
    nulls = np.random.default_rng(17).random(N_MAX)
    test = SequentialTest(N_MAX)
    n = test.n_enough(nulls <= 0.01)
    assert n is not None
    assert n < 400
    values = [0.0, 0.01, 0.02, 0.04, 0.06, 0.1, 0.5, 1.0]
    found = [test.compare(value, nulls[:n], 1e-12) for value in values]
    assert found[1].p_value <= 0.05
    p = [each.p_value for each in found]
    assert p == sorted(p), "it grows with the value, whether that was decided or not"
    assert p[-1] == pytest.approx(1.0)
    for value, each in zip(values, found, strict=True):
        assert each.p_value == pytest.approx(compare(value, nulls[:n], 1e-12).p_value, abs=0.03 + 0.3 * value)
