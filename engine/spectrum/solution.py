"""What a solver hands on: the bottom eigenpairs of every member's Laplacian, with a verdict for each."""

from dataclasses import dataclass, replace
from typing import Any

from netspectra.kernels.backend import Array

__all__ = ["STATUS_MEANING", "Solution"]

STATUS_MEANING = {
    "converged": "all residuals are within the tolerance",
    "escalated_float64": "converged only after the solve was repeated in float64",
    "escalated_dense": "converged only after the iteration was replaced by a dense solve",
    "not_converged": "some residual exceeds the tolerance; raise maxiter or use solver='dense'",
    "disconnected": "the graph has at least k connected components; no eigenproblem was solved",
}
"""Every status of a solve, and what it means."""


@dataclass(frozen=True)
class Solution:
    """Bottom eigenpairs of L for a batch.

    Attributes
    ----------
    eigenvalues : array, shape (B, k), float64, ascending, the first exactly 0
    vectors : array, shape (B, n, k), working dtype
        Orthonormal; rows of isolated nodes are zero.
    residual_norms : array, shape (B, k), float64
        ``|L x - lambda x|``.
    next_eigenvalue : array, shape (B,), float64
        Eigenvalue k + 1 (an estimate with LOBPCG), NaN where there is none.
    n_iterations : array, shape (B,), int32
    status : tuple of str, length B
    """

    eigenvalues: Array
    vectors: Array
    residual_norms: Array
    next_eigenvalue: Array
    n_iterations: Array
    status: tuple[str, ...]

    @property
    def converged(self) -> tuple[bool, ...]:
        """Per member, whether the acceptance test was passed."""
        return tuple(status != "not_converged" for status in self.status)

    def with_member(self, xp: Any, index: int, other: "Solution") -> "Solution":
        """Return the same with member `index` replaced by the only member of `other`."""

        def put(mine: Array, theirs: Array) -> Array:
            rows = [mine[i : i + 1, ...] for i in range(mine.shape[0])]
            rows[index] = xp.astype(theirs, mine.dtype)
            return xp.concat(rows, axis=0)

        status = (*self.status[:index], other.status[0], *self.status[index + 1 :])
        return replace(
            self,
            eigenvalues=put(self.eigenvalues, other.eigenvalues),
            vectors=put(self.vectors, other.vectors),
            residual_norms=put(self.residual_norms, other.residual_norms),
            next_eigenvalue=put(self.next_eigenvalue, other.next_eigenvalue),
            n_iterations=put(self.n_iterations, other.n_iterations),
            status=status,
        )
