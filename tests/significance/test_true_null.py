"""Under a true null hypothesis p is uniform: a null network of a null network is like any of its own nulls."""

from __future__ import annotations

import numpy as np
import pytest
from clustering.planted import chain
from scipy import stats

import netspectra as ns

N_TESTS, N_NULLS = 150, 19


@pytest.mark.parametrize("options", [{}, {"select": "ncut"}], ids=str)
def test_p_values_are_uniform(options: dict[str, str]) -> None:
    base, p = chain((10, 8, 6), 2, noise=0.3), []
    for number in range(N_TESTS):
        observed = ns.null_network(base, number, seed=1)
        # A seed per test: with one for all, the permutations of all tests would be the same.
        found = ns.clusterability_test(observed, 3, n_nulls=N_NULLS, n_init=2, seed=number, progress=False, **options)
        p.append(found.p_value)
    ranks = np.rint(np.array(p) * (N_NULLS + 1)).astype(int)
    assert ranks.min() >= 1
    # Ties may only push p up, so what is tested is that p is not too small anywhere.
    assert stats.kstest(p, "uniform", alternative="greater").pvalue > 0.01
    counts = np.bincount(ranks, minlength=N_NULLS + 2)[1:].reshape(4, 5).sum(axis=1)
    assert stats.chisquare(counts).pvalue > 0.01
    assert stats.binomtest(int(np.sum(np.array(p) <= 0.05)), N_TESTS, 0.05).pvalue > 0.01
