"""What every figure is given at: checks that run inside the benchmarks and fail them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from scipy.stats import ks_2samp

__all__ = [
    "INERTIA_TOLERANCE",
    "KS_LEVEL",
    "RESIDUAL_LIMIT",
    "inertia_difference",
    "largest_residual",
    "require_same_distribution",
]

KS_LEVEL = 0.01
RESIDUAL_LIMIT = 2e-5
"""On ``|L x - lambda x|``: twice the tolerance of the iterative solver, and the dense one is held to it too."""
INERTIA_TOLERANCE = 1e-3


def require_same_distribution(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return the Kolmogorov-Smirnov p of two samples of n-cuts; fail unless it is above 0.01."""
    assert np.isfinite(ours).all(), f"{np.count_nonzero(~np.isfinite(ours))} of our null networks failed"
    assert np.isfinite(theirs).all(), f"{np.count_nonzero(~np.isfinite(theirs))} of the peer's null networks failed"
    p = float(ks_2samp(ours, theirs).pvalue)
    assert p > KS_LEVEL, (
        f"null n-cuts differ: ours {_moments(ours)}, official {_moments(theirs)}, Kolmogorov-Smirnov p = {p:.2g}"
    )
    return p


def inertia_difference(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Median over point sets of ``ours / theirs - 1``."""
    return float(np.median(np.asarray(ours) / np.asarray(theirs)) - 1.0)


def largest_residual(
    weights: Sequence[NDArray[np.floating]], eigenvalues: NDArray[np.floating], vectors: NDArray[np.floating]
) -> float:
    """Largest ``|L x - lambda x|`` over unit eigenvectors, in float64, by SciPy and without netspectra.

    Parameters
    ----------
    weights : sequence of (n_in, n_out) arrays
        A chain of layers.
    eigenvalues : float array, shape (k,)
    vectors : float array, shape (n, k)
        Rows of isolated nodes are zero.
    """
    sizes = [weights[0].shape[0], *(weight.shape[1] for weight in weights)]
    blocks: list[list[sp.csr_array | None]] = [[None] * len(sizes) for _ in sizes]
    for i, weight in enumerate(weights):
        block = sp.csr_array(np.abs(weight, dtype=np.float64))
        blocks[i][i + 1], blocks[i + 1][i] = block, block.T
    adjacency = sp.csr_array(sp.block_array(blocks))
    degrees = adjacency.sum(axis=1)
    scale = np.divide(1.0, np.sqrt(degrees), out=np.zeros_like(degrees), where=degrees > 0)[:, None]
    X = vectors / np.linalg.norm(vectors.astype(np.float64), axis=0)
    R = X - scale * (adjacency @ (scale * X)) - X * eigenvalues
    return float(np.linalg.norm(R, axis=0).max())


def _moments(sample: NDArray[np.float64]) -> str:
    return f"{sample.mean():.4f} +- {sample.std(ddof=1):.4f} ({sample.size})"
