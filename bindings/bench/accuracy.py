"""What every figure is given at: checks that run inside the benchmarks and fail them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INERTIA_TOLERANCE",
    "KS_LEVEL",
    "RESIDUAL_LIMIT",
    "AccuracyError",
    "adjusted_rand_index",
    "require",
    "require_same_distribution",
]

KS_LEVEL = 0.01
RESIDUAL_LIMIT = 2e-5
"""On ``|L x - lambda x|``: twice the tolerance of the iterative solver, and the dense one is held to it too."""
INERTIA_TOLERANCE = 1e-3


class AccuracyError(AssertionError):
    """A result is not what its time would be reported for."""


def require(condition: object, message: str) -> None:
    """Fail a benchmark unless something holds, under ``python -O`` too."""
    if not condition:
        raise AccuracyError(message)


def require_same_distribution(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return the Kolmogorov-Smirnov p of two samples of n-cuts; fail unless it is above 0.01."""
    from scipy.stats import ks_2samp

    for side, sample in (("our", ours), ("the peer's", theirs)):
        lost = np.count_nonzero(~np.isfinite(sample))
        require(lost == 0, f"{lost} of {side} null networks failed")
    p = float(ks_2samp(ours, theirs).pvalue)
    text = f"null n-cuts differ: ours {_moments(ours)}, official {_moments(theirs)}, Kolmogorov-Smirnov p = {p:.2g}"
    require(p > KS_LEVEL, text)
    return p


def adjusted_rand_index(found: NDArray[Any], true: NDArray[Any]) -> float:
    """Agreement of two partitions of the same nodes: 1 if equal, 0 in the mean over random ones.

    ``(sum C(n_ij, 2) - e) / ((sum C(a_i, 2) + sum C(b_j, 2)) / 2 - e)`` with ``e = sum C(a_i, 2) sum C(b_j, 2) / C(n,
    2)`` (Hubert & Arabie, J. Classification 2, 1985).

    Parameters
    ----------
    found, true : integer arrays, shape (n,)
        Labels of at least -1.
    """
    rows, cols = np.asarray(found, np.int64) + 1, np.asarray(true, np.int64) + 1
    width = int(cols.max()) + 1
    table = np.bincount(rows * width + cols, minlength=(int(rows.max()) + 1) * width).reshape(-1, width)
    within = [float(np.sum(n * (n - 1.0) / 2)) for n in (table, table.sum(axis=1), table.sum(axis=0))]
    every = rows.size * (rows.size - 1.0) / 2
    expected = within[1] * within[2] / every
    most = (within[1] + within[2]) / 2
    return 1.0 if most == expected else (within[0] - expected) / (most - expected)


def _moments(sample: NDArray[np.float64]) -> str:
    return f"{sample.mean():.4f} +- {sample.std(ddof=1):.4f} ({sample.size})"
