"""The spectral certificate: no partition into k clusters of positive volume can have a smaller n-cut than this.

``ncut >= sum of the k smallest eigenvalues``. Ritz values lie *above* eigenvalues, so each is lowered by its residual
and by rounding before it is counted.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["BoundStatus", "Certificate", "certify"]

BoundStatus = Literal["proved", "conditional"]


@dataclass(frozen=True)
class Certificate:
    """Lower bound on the n-cut, its standing, and ``(ncut - bound) / ncut`` (0 when the n-cut is 0)."""

    ncut_lower_bound: float
    bound_status: BoundStatus
    relative_gap: float


def certify(
    eigenvalues: "np.ndarray[Any, Any]", slack: "np.ndarray[Any, Any]", n_nonempty: int, ncut: float, *, proved: bool
) -> Certificate:
    """Certificate of a partition into `n_nonempty` clusters of positive volume.

    Parameters
    ----------
    eigenvalues : ndarray, shape (k,), float64
        Ritz values, ascending.
    slack : ndarray, shape (k,), float64
        What each is lowered by: its residual norm, and n times the unit roundoff of the working dtype.
    proved : bool
        True for the dense solver, whose eigenvalues are the smallest up to rounding; LOBPCG might have missed one.
    """
    lowered = eigenvalues - slack
    bound = float(np.sum(np.maximum(lowered[:n_nonempty], 0.0)))
    gap = (ncut - bound) / ncut if ncut > 0 else 0.0
    return Certificate(bound, "proved" if proved else "conditional", gap)
