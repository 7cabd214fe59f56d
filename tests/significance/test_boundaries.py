"""Where a sequential test may stop: against counting every order of the nulls, and the two bounds it is made for."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from scipy import stats

from netspectra.significance import boundaries
from netspectra.significance.boundaries import FIRST_LOOK, RISK, Boundaries

SIZES = [1, 18, 19, 31, 32, 33, 59, 99, 100, 139, 199, 500, 999]


def all_of(n_max: int) -> Boundaries:
    """Return the boundaries of a test up to its last null."""
    found = Boundaries(n_max)
    while found.n < n_max:
        found.advance()
    return found


@pytest.mark.parametrize("n_max", SIZES)
def test_every_path_stops_on_one_side_just_once(n_max: int) -> None:
    found = all_of(n_max)
    assert found.counts.size == 0
    total = [found.low.mass(len(found.low)), found.high.mass(len(found.high))]
    assert sum(total) == pytest.approx(1, abs=1e-12)
    for p in (0.001, 0.05, 0.3, 0.999):
        reached = [side.probability(len(side))(p) for side in (found.low, found.high)]
        assert sum(reached) == pytest.approx(1, abs=1e-9)
    assert all(low < high for low, high in zip(found.lower, found.upper, strict=True))


@pytest.mark.parametrize("n_max", SIZES)
def test_the_low_side_has_the_level_as_its_share(n_max: int) -> None:
    found = all_of(n_max)
    significant = found.low.mass(len(found.low))
    exact = (n_max + 1) // 20 / (n_max + 1)
    assert found.n_significant == (n_max + 1) // 20
    assert -1e-5 < significant - exact < 3e-6


@pytest.mark.parametrize("n_max", [33, 100, 199, 1000])
def test_the_risk_of_the_other_verdict_is_bounded_for_every_number_of_nulls_below(n_max: int) -> None:
    """Given S_N, the order of the nulls is uniform, and S_n hypergeometric."""
    found, risks = all_of(n_max), []
    c = found.n_significant
    for total in range(n_max + 1):
        wrong = found.high if total < c else found.low
        n, count, share = (np.array(values) for values in (wrong._n, wrong._count, wrong._share))
        risks.append(float(np.sum(share * stats.hypergeom(n_max, total, n).pmf(count))) if n.size else 0.0)
    assert max(risks) <= RISK
    assert np.argmax(risks) in (c - 1, c)
    if n_max == 1000:
        assert min(risks[c - 1], risks[c]) > RISK / 2, "what may be risked is used"


def test_shares_are_those_of_all_orders_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boundaries, "FIRST_LOOK", 4)
    monkeypatch.setattr(boundaries, "RISK", 0.3)
    monkeypatch.setattr(boundaries, "SIGNIFICANCE_LEVEL", 0.3)
    n_max = 12
    found, stopped = all_of(n_max), {}
    for total in range(n_max + 1):
        for places in combinations(range(n_max), total):
            counts = np.cumsum(np.isin(np.arange(n_max), places))
            n = next(n for n in range(4, 13) if not found.lower[n - 4] < counts[n - 1] < found.upper[n - 4])
            point = (n, int(counts[n - 1]))
            orders = comb(n_max - n, total - point[1])  # of the nulls after the stop
            stopped[point] = stopped.get(point, 0) + 1 / orders / (n_max - n + 1)
    early = 0
    for side in (found.low, found.high):
        for n, count, share in zip(side._n, side._count, side._share, strict=True):
            early += 4 < n < n_max
            assert stopped.pop((n, count), 0) == pytest.approx(share * comb(n, count), abs=1e-9)
    assert not stopped
    assert early > 3


def test_a_test_of_few_nulls_looks_at_the_end_only() -> None:
    for n_max in (1, 19, FIRST_LOOK):
        found = all_of(n_max)
        assert (found.first, found.n) == (n_max, n_max)
        assert len(found.low) + len(found.high) == n_max + 1


def test_boundaries_close_in_on_the_level() -> None:
    found = all_of(1000)
    n = np.arange(FIRST_LOOK, 1001)
    low, high = np.array(found.lower), np.array(found.upper)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    assert (low < 0.05 * n).all()
    assert (high > 0.05 * (n - 1)).all()
    assert (low[-1], high[-1]) == (49, 50)
    first = int(n[np.argmax(low >= 0)])
    assert 0.95**first < RISK, "no null below: as many as make 0.05 incredible"
    assert first < 150
