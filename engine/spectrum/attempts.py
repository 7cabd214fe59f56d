"""One attempt at a batch, by one method; each member comes back with a verdict.

The verdict :data:`LOST` says that wanted singular values are too small for ``G = B B^T``, which squares them: no fault
of the method, but the member has to be solved without squaring. It never leaves :func:`netspectra.spectrum.solve`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from netspectra.graph.batch import GraphBatch, in_range
from netspectra.kernels.backend import Array
from netspectra.kernels.keys import stream_keys
from netspectra.spectrum.acceptance import accepted, lapack_bound
from netspectra.spectrum.assemble import laplacian_residuals, to_laplacian
from netspectra.spectrum.lobpcg import lobpcg
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency, SymmetricOperator
from netspectra.spectrum.plan import SolverPlan, block_width
from netspectra.spectrum.singular import solve_singular
from netspectra.spectrum.solution import Solution

__all__ = ["LOST", "Replicates", "reduce", "try_dense", "try_lobpcg", "try_singular"]

LOST = "reduction_lost"
SIGMA_FLOOR = {"float32": 1e-2, "float64": 1e-6}
"""Singular values below this are lost in the rounding of their squares."""

Replicates = list[int | None]
"""Replicate numbers of the members, for keyed random numbers (None: the real network)."""


def reduce(batch: GraphBatch) -> SymmetricOperator:
    """The smaller of the two operators: G where the graph is bipartite, else S."""
    return NormalizedAdjacency(batch) if batch.structure.sides is None else BipartiteGram(batch)


def try_dense(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Subset eigensolve of the explicit matrix; the next eigenvalue comes with it for the gap."""
    del replicates
    batch, xp = operator.batch, operator.batch.backend.xp
    n_pairs = min(k, operator.size - 1)
    if isinstance(operator, BipartiteGram) and n_pairs < k:
        return _unsolved(batch, k, plan.dtype)
    values, vectors = batch.backend.largest_eigenpairs(_explicit_matrix(operator, plan.dtype), n_pairs)
    none = xp.zeros((values.shape[0],), dtype=xp.int32)
    solution = to_laplacian(operator, values, vectors * operator.mask(plan.dtype), k, none)
    passed = accepted(batch, solution, lapack_bound(batch, plan.dtype))
    kept = _kept(operator, values)  # the next one too, so that the gap is exact
    passed = [ok and safe for ok, safe in zip(passed, kept, strict=True)]
    refused = LOST if isinstance(operator, BipartiteGram) else "not_converged"
    return replace(solution, status=tuple(_verdict(passed, [refused] * batch.n_members)))


def try_lobpcg(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Batched LOBPCG with guard vectors from a keyed random start, residuals re-evaluated in float64."""
    batch, backend = operator.batch, operator.batch.backend
    if isinstance(operator, BipartiteGram) and operator.size <= k:
        return _unsolved(batch, k, plan.dtype)
    keys = stream_keys(plan.seed, "start-block", replicates)
    start = backend.standard_normals(keys, (operator.size, block_width(k, operator.size)), plan.dtype)
    state = lobpcg(
        backend,
        _explicit_product(operator, plan.dtype) if plan.explicit else operator.apply,
        start * operator.mask(plan.dtype),
        operator.trivial(plan.dtype),
        k - 1,
        lambda values: _operator_tolerance(operator, values, plan.tol),
        plan.maxiter,
    )
    solution = to_laplacian(operator, state.best_values, state.best, k, state.n_iterations)
    residuals = laplacian_residuals(batch, solution.eigenvalues, solution.vectors)
    solution = replace(solution, residual_norms=residuals)
    passed, kept = accepted(batch, solution, 2 * plan.tol), _kept(operator, state.best_values[:, : k - 1])
    settled = backend.to_numpy(state.best_error <= 1)
    # Only where the iteration itself came to an end do small singular values say anything about the graph.
    lost = [bool(end) and not safe for end, safe in zip(settled, kept, strict=True)]
    refused = [LOST if gone else "not_converged" for gone in lost]
    return replace(solution, status=tuple(_verdict(passed, refused)))


def _explicit_matrix(operator: SymmetricOperator, dtype: Any) -> Array:
    """The reduced matrix; in float64 without what is not finite, where a member's weights are out of its range.

    LAPACK must not see a NaN, which in a batch would end the other members too; the residuals of such a member flag it.
    Narrower dtypes get no such member, see :func:`netspectra.spectrum.solve`.
    """
    batch, xp = operator.batch, operator.batch.backend.xp
    matrix = operator.dense(dtype)
    if dtype != xp.float64:
        return matrix
    within = batch.backend.to_numpy(in_range(batch, dtype))
    return matrix if bool(within.all()) else xp.where(xp.isfinite(matrix), matrix, xp.zeros_like(matrix))


def _explicit_product(operator: SymmetricOperator, dtype: Any) -> Callable[[Array], Array]:
    """Product with the explicit matrix; its trivial pair, which is moved, is deflated anyway."""
    matrix = _explicit_matrix(operator, dtype)
    return lambda X: operator.batch.backend.xp.matmul(matrix, X)


def try_singular(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Singular value decomposition of B, member by member."""
    keys = stream_keys(plan.seed, "start-block", replicates)
    members = [solve_singular(batch.member(i), k, plan.dtype, keys[i : i + 1]) for i in range(batch.n_members)]
    solution = Solution.concat(batch.backend.xp, members)
    passed = accepted(batch, solution, lapack_bound(batch, plan.dtype))
    return replace(solution, status=tuple(_verdict(passed, ["not_converged"] * batch.n_members)))


def _verdict(passed: list[bool], refused: list[str]) -> list[str]:
    return ["converged" if ok else why for ok, why in zip(passed, refused, strict=True)]


def _operator_tolerance(operator: SymmetricOperator, values: Array, tol: float) -> Array:
    """Residual of the operator that gives the Laplacian a residual of `tol`: ``r_L = r_G / (sqrt(2) sigma)``."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram):
        return xp.full_like(values, tol)
    floor = _sigma_floor(xp, values)
    return tol * 2**0.5 * xp.sqrt(xp.maximum(values, xp.full_like(values, floor**2)))


def _kept(operator: SymmetricOperator, values: Array) -> list[bool]:
    """Which members have wanted singular values large enough for the reduction."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram):
        return [True] * operator.batch.n_members
    smallest = operator.batch.backend.to_numpy(xp.min(values, axis=1))
    return [bool(value >= _sigma_floor(xp, values) ** 2) for value in smallest]


def _sigma_floor(xp: Any, values: Array) -> float:
    return SIGMA_FLOOR["float64" if values.dtype == xp.float64 else "float32"]


def _unsolved(batch: GraphBatch, k: int, dtype: Any) -> Solution:
    """Shapes of a solution whose members all have to be solved without reduction."""
    xp, members = batch.backend.xp, batch.n_members
    nan = xp.full((members, k), xp.nan, dtype=xp.float64)
    vectors = xp.zeros((members, batch.structure.n_nodes, k), dtype=dtype)
    none = xp.zeros((members,), dtype=xp.int32)
    return Solution(nan, vectors, nan, nan[:, 0], none, (LOST,) * members)
