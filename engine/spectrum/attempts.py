"""One attempt at a batch, by one method; each member comes back with a verdict.

The verdict :data:`LOST` says that wanted singular values are too small for ``G = B B^T``, which squares them: no fault
of the method, but the member has to be solved without squaring. It never leaves :func:`netspectra.spectrum.solve`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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
ITERATED_FLOOR = {"float32": 2e-3, "float64": 1e-6}
"""The same where residuals of L are re-evaluated in float64, which notices what was lost before.

It matters: the bulk of a large transformer's stream, 4,096 wide, begins at 0.0085, and was solved again in float64.
"""

Replicates = list[int | None]
"""Replicate numbers of the members, for keyed random numbers (None: the real network)."""


def reduce(batch: GraphBatch) -> SymmetricOperator:
    """The smaller of the two operators: G where the graph is bipartite, else S."""
    return _operator(batch, batch.structure.sides is not None)


def _operator(batch: GraphBatch, bipartite: bool) -> SymmetricOperator:
    return BipartiteGram(batch) if bipartite else NormalizedAdjacency(batch)


@dataclass(frozen=True)
class _Outcome:
    """What a method made of a batch, before the verdicts: passed, safe and settled are (B,) bool."""

    solution: Solution
    passed: Array
    safe: Array
    """Whether all wanted singular values are large enough for the reduction."""
    settled: Array
    """Whether the method itself came to its end; only then do small singular values say anything about the graph."""


def try_dense(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Subset eigensolve of the explicit matrix; the next eigenvalue comes with it for the gap."""
    del replicates
    batch, bipartite = operator.batch, isinstance(operator, BipartiteGram)
    if bipartite and min(k, operator.size - 1) < k:
        return _unsolved(batch, k, plan.dtype)
    outside = _out_of_range(batch, plan.dtype)
    return _judged(batch, batch.backend.run(_dense_outcome, batch, bipartite, k, replace(plan, seed=0), outside))


def try_lobpcg(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Batched LOBPCG with guard vectors from a keyed random start, residuals re-evaluated in float64."""
    batch, bipartite = operator.batch, isinstance(operator, BipartiteGram)
    if bipartite and operator.size <= k:
        return _unsolved(batch, k, plan.dtype)
    keys = stream_keys(plan.seed, "start-block", replicates)
    start = batch.backend.standard_normals(keys, (operator.size, block_width(k, operator.size)), plan.dtype)
    outside = plan.explicit and _out_of_range(batch, plan.dtype)
    plan = replace(plan, seed=0)  # it is in the start; another seed needs no other program
    return _judged(batch, batch.backend.run(_lobpcg_outcome, batch, bipartite, k, plan, start, outside))


def _dense_outcome(batch: GraphBatch, bipartite: bool, k: int, plan: SolverPlan, outside: bool) -> _Outcome:
    operator = _operator(batch, bipartite)
    xp, n_pairs = batch.backend.xp, min(k, operator.size - 1)
    values, vectors = batch.backend.largest_eigenpairs(_explicit_matrix(operator, plan.dtype, outside), n_pairs)
    none = xp.zeros((values.shape[0],), dtype=xp.int32)
    solution = to_laplacian(operator, values, vectors * operator.mask(plan.dtype), k, none)
    passed = accepted(batch, solution, lapack_bound(batch, plan.dtype))
    kept = _kept(operator, values, SIGMA_FLOOR)  # the next one too, so that the gap is exact
    return _Outcome(solution, passed, kept, xp.ones_like(kept))


def _lobpcg_outcome(
    batch: GraphBatch, bipartite: bool, k: int, plan: SolverPlan, start: Array, outside: bool
) -> _Outcome:
    operator = _operator(batch, bipartite)
    state = lobpcg(
        batch.backend,
        _explicit_product(operator, plan.dtype, outside) if plan.explicit else operator.apply,
        start * operator.mask(plan.dtype),
        operator.trivial(plan.dtype),
        k - 1,
        lambda values: _operator_tolerance(operator, values, plan.tol),
        plan.maxiter,
    )
    solution = to_laplacian(operator, state.best_values, state.best, k, state.n_iterations)
    residuals = laplacian_residuals(batch, solution.eigenvalues, solution.vectors)
    solution = replace(solution, residual_norms=residuals)
    kept = _kept(operator, state.best_values[:, : k - 1], ITERATED_FLOOR)
    return _Outcome(solution, accepted(batch, solution, 2 * plan.tol), kept, state.best_error <= 1)


def _judged(batch: GraphBatch, outcome: _Outcome) -> Solution:
    """The solution with a verdict for every member."""
    host = batch.backend.to_numpy
    verdicts = []
    for passed, safe, settled in zip(*map(host, (outcome.passed, outcome.safe, outcome.settled)), strict=True):
        verdicts.append("converged" if passed and safe else LOST if settled and not safe else "not_converged")
    return replace(outcome.solution, status=tuple(verdicts))


def _out_of_range(batch: GraphBatch, dtype: Any) -> bool:
    """Whether some member's weights are out of the range of the widest dtype; narrower ones get no such member."""
    widest = dtype == batch.backend.xp.float64 or not batch.backend.has_64_bit
    return widest and not bool(batch.backend.to_numpy(in_range(batch, dtype)).all())


def _explicit_matrix(operator: SymmetricOperator, dtype: Any, outside: bool) -> Array:
    """The reduced matrix; without what is not finite, where members are `outside` the range of the widest dtype.

    LAPACK must not see a NaN, which in a batch would end the other members too; the residuals of such a member flag it.
    """
    xp, matrix = operator.batch.backend.xp, operator.dense(dtype)
    return xp.where(xp.isfinite(matrix), matrix, xp.zeros_like(matrix)) if outside else matrix


def _explicit_product(operator: SymmetricOperator, dtype: Any, outside: bool) -> Callable[[Array], Array]:
    """Product with the explicit matrix; its trivial pair, which is moved, is deflated anyway."""
    matrix = _explicit_matrix(operator, dtype, outside)
    return lambda X: operator.batch.backend.xp.matmul(matrix, X)


def try_singular(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Singular value decomposition of B, member by member."""
    keys = stream_keys(plan.seed, "start-block", replicates)
    members = [solve_singular(batch.member(i), k, plan.dtype, keys[i : i + 1]) for i in range(batch.n_members)]
    solution = Solution.concat(batch.backend.xp, members)
    passed = batch.backend.to_numpy(accepted(batch, solution, lapack_bound(batch, plan.dtype)))
    return replace(solution, status=tuple("converged" if ok else "not_converged" for ok in passed))


def _operator_tolerance(operator: SymmetricOperator, values: Array, tol: float) -> Array:
    """Residual of the operator that gives the Laplacian a residual of `tol`: ``r_L = r_G / (sqrt(2) sigma)``."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram):
        return xp.full_like(values, tol)
    floor = _floor(xp, values, ITERATED_FLOOR)
    return tol * 2**0.5 * xp.sqrt(xp.maximum(values, xp.full_like(values, floor**2)))


def _kept(operator: SymmetricOperator, values: Array, floors: dict[str, float]) -> Array:
    """Which members have wanted singular values large enough for the reduction, (B,) bool."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram):
        return xp.ones((values.shape[0],), dtype=xp.bool)
    return xp.min(values, axis=1) >= _floor(xp, values, floors) ** 2


def _floor(xp: Any, values: Array, floors: dict[str, float]) -> float:
    return floors["float64" if values.dtype == xp.float64 else "float32"]


def _unsolved(batch: GraphBatch, k: int, dtype: Any) -> Solution:
    """Shapes of a solution whose members all have to be solved without reduction."""
    xp, members = batch.backend.xp, batch.n_members
    nan = xp.full((members, k), xp.nan, dtype=xp.float64)
    vectors = xp.zeros((members, batch.structure.n_nodes, k), dtype=dtype)
    none = xp.zeros((members,), dtype=xp.int32)
    return Solution(nan, vectors, nan, nan[:, 0], none, (LOST,) * members)
