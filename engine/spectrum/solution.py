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
    "precision_limited": "degrees spread so far that even float64 cannot place the neurons of least degree, or float64 "
    "is needed and the backend has none (JAX: enable x64)",
    "fewer_clusters": "k-means left some clusters empty",
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
        return tuple(status not in ("not_converged", "precision_limited") for status in self.status)

    def first(self, k: int) -> "Solution":
        """Return the first `k` of more pairs; what follows them is then known."""
        return replace(
            self,
            eigenvalues=self.eigenvalues[:, :k],
            vectors=self.vectors[:, :, :k],
            residual_norms=self.residual_norms[:, :k],
            next_eigenvalue=self.eigenvalues[:, k],
        )

    def member(self, index: int) -> "Solution":
        """Return the solution of one member."""
        one = slice(index, index + 1)
        return Solution(
            eigenvalues=self.eigenvalues[one, :],
            vectors=self.vectors[one, :, :],
            residual_norms=self.residual_norms[one, :],
            next_eigenvalue=self.next_eigenvalue[one],
            n_iterations=self.n_iterations[one],
            status=self.status[one],
        )

    def repeated(self, xp: Any, count: int) -> "Solution":
        """Return the only member `count` times."""
        return Solution.concat(xp, [self] * count)

    @staticmethod
    def concat(xp: Any, parts: "list[Solution]") -> "Solution":
        """Return the members of several solutions as one."""

        def joined(name: str) -> Array:
            return xp.concat([getattr(part, name) for part in parts], axis=0)

        return Solution(
            eigenvalues=joined("eigenvalues"),
            vectors=joined("vectors"),
            residual_norms=joined("residual_norms"),
            next_eigenvalue=joined("next_eigenvalue"),
            n_iterations=joined("n_iterations"),
            status=tuple(status for part in parts for status in part.status),
        )

    @staticmethod
    def gathered(xp: Any, parts: "list[Solution]", order: list[int]) -> "Solution":
        """Return one solution of members that were solved apart: `order` names the member of each, part after part.

        Vectors get the widest of their dtypes.
        """
        wide = any(part.vectors.dtype == xp.float64 for part in parts)
        dtype = xp.float64 if wide else parts[0].vectors.dtype
        every = Solution.concat(xp, [replace(part, vectors=xp.astype(part.vectors, dtype)) for part in parts])
        return Solution.concat(xp, [every.member(order.index(i)) for i in range(len(order))])

    def with_member(self, xp: Any, index: int, other: "Solution") -> "Solution":
        """Return the same with member `index` replaced by the only member of `other`, in this solution's dtype."""
        put = replace(other, vectors=xp.astype(other.vectors, self.vectors.dtype))
        return Solution.concat(xp, [put if i == index else self.member(i) for i in range(len(self.status))])
