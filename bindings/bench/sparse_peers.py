"""SciPy's and scikit-learn's eigensolvers on the sparse S of one network, which they get ready-made."""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

__all__ = ["SparsePeers"]


class SparsePeers:
    """Peers on one network.

    Parameters
    ----------
    adjacency : (n, n) csr_array, float64
    k : int
        Eigenpairs.
    """

    def __init__(self, adjacency: scipy.sparse.csr_array, k: int) -> None:
        self.adjacency, self.k = adjacency, k

    @cached_property
    def normalized(self) -> scipy.sparse.csr_array:
        """``S = D^-1/2 A D^-1/2``."""
        scale = scipy.sparse.dia_array((1 / np.sqrt(self.adjacency.sum(axis=1)), 0), shape=self.adjacency.shape)
        return scipy.sparse.csr_array(scale @ self.adjacency @ scale)

    def eigsh(self) -> Any:
        """ARPACK: values ascending, vectors."""
        start = np.random.default_rng(0).uniform(-1, 1, self.normalized.shape[0])
        return scipy.sparse.linalg.eigsh(self.normalized, self.k, which="LA", v0=start, tol=1e-5)

    def lobpcg(self) -> Any:
        """Values descending, vectors, and a history as long as the iterations."""
        start = np.random.default_rng(0).standard_normal((self.normalized.shape[0], self.k + 4))
        return scipy.sparse.linalg.lobpcg(
            self.normalized, start, tol=1e-5, maxiter=200, largest=True, retResidualNormsHistory=True
        )

    def embedding(self) -> Any:
        """scikit-learn's, by ARPACK."""
        from sklearn.manifold import spectral_embedding

        return spectral_embedding(
            self.adjacency, n_components=self.k, eigen_solver="arpack", random_state=0, drop_first=False
        )

    def residual(self, values: Any, vectors: Any) -> float:
        """Largest norm of a column of ``S x - x values``."""
        return float(np.linalg.norm(self.normalized @ vectors - vectors * values, axis=0).max())
