"""Choice and escalation of solvers: the bottom of every member's Laplacian spectrum, never an unflagged failure.

Small problems are solved densely (subset ``eigh`` of G or S), the others by batched LOBPCG on the bipartite reduction
where there is one. A member whose wanted singular values are lost in the squares of G is solved again without
reduction; one that does not converge goes to float64, then to a dense solve, and the others are not touched.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.kernels.keys import stream_keys
from netspectra.spectrum.assemble import SIGMA_FLOOR, laplacian_residuals, smallest_sigma, to_laplacian
from netspectra.spectrum.lobpcg import lobpcg
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency, SymmetricOperator
from netspectra.spectrum.solution import Solution

__all__ = ["DENSE_SIZE", "SolverName", "SolverPlan", "plan_solver", "solve"]

SolverName = Literal["auto", "dense", "lobpcg"]
DENSE_SIZE = 1200
"""Reduced size up to which ``solver="auto"`` is dense: where LAPACK's subset ``syevr`` and the iteration break even: 67 ms each at 1,200 (one core)."""
ESCALATE_SIZE = 4000
"""Size up to which a member that LOBPCG cannot solve is solved densely (128 MB in float64)."""
DEFAULT_TOL = 1e-5
FLOAT64_BELOW = 2e-6
"""A tolerance below this cannot be reached in float32 and implies float64."""
DEFAULT_MAXITER = 500


@dataclass(frozen=True)
class SolverPlan:
    """Solver, dtype and tolerance: the same for the observed network and its nulls, or the comparison is biased."""

    solver: Literal["dense", "lobpcg"]
    dtype: Any
    tol: float
    maxiter: int
    seed: int


def plan_solver(
    batch: GraphBatch, k: int, solver: SolverName, tol: float | None, maxiter: int | None, seed: int
) -> SolverPlan:
    """Settle what ``"auto"`` and None stand for, from shapes alone."""
    size, xp = batch.structure.reduced_size, batch.backend.xp
    narrow = size < 5 * _block_width(k, size)
    chosen: Literal["dense", "lobpcg"] = (
        solver if solver != "auto" else "dense" if size <= DENSE_SIZE or narrow else "lobpcg"
    )
    tolerance = DEFAULT_TOL if tol is None else float(tol)
    dtype = xp.float64 if tolerance < FLOAT64_BELOW else batch.dtype
    return SolverPlan(chosen, dtype, tolerance, DEFAULT_MAXITER if maxiter is None else maxiter, seed)


def solve(batch: GraphBatch, k: int, plan: SolverPlan, replicates: "list[int | None]") -> Solution:
    """Return the k bottom eigenpairs of every member's Laplacian.

    Parameters
    ----------
    batch : GraphBatch
        Every member has at least k live nodes.
    k : int
    plan : SolverPlan
    replicates : list, length B
        Replicate numbers, for the keyed starting blocks (None: the real network).
    """
    operator: SymmetricOperator = NormalizedAdjacency(batch)
    if batch.structure.sides is not None and (plan.solver == "lobpcg" or batch.structure.reduced_size >= k):
        operator = BipartiteGram(batch)
    first = _dense if plan.solver == "dense" else _iterate
    solution = first(operator, k, plan, replicates)
    for index, status in enumerate(solution.status):
        if status != "converged":
            better = _escalate(batch.member(index), k, plan, [replicates[index]], status)
            solution = solution.with_member(batch.backend.xp, index, better)
    return solution


def _dense(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: "list[int | None]") -> Solution:
    """Subset eigensolve of the explicit matrix; the next eigenvalue comes with it for the gap."""
    del replicates
    backend = operator.batch.backend
    xp = backend.xp
    n_pairs = min(k, operator.size - 1)
    if isinstance(operator, BipartiteGram) and n_pairs < k:
        return _unsolved(operator.batch, k)
    M = operator.dense(plan.dtype)
    values, vectors = backend.largest_eigenpairs(xp.asarray(M, copy=True), n_pairs)
    wanted = vectors[:, :, : k - 1]
    applied = xp.matmul(M, wanted)
    none = xp.zeros((values.shape[0],), dtype=xp.int32)
    solution = to_laplacian(operator, values, wanted, applied, k, none)
    # LAPACK's own acceptance rule, |AZ - ZD| / (|A| n ulp) < 30; a NaN compares False and so fails.
    defect = xp.max(xp.abs(applied - wanted * values[:, None, : k - 1]), axis=(1, 2))
    passed = backend.to_numpy(defect < 30 * operator.size * float(xp.finfo(plan.dtype).eps))
    lost = _lost(operator, values[:, : k - 1])
    return _flag(solution, [why if ok else "not_converged" for why, ok in zip(lost, passed, strict=True)])


def _iterate(operator: SymmetricOperator, k: int, plan: SolverPlan, replicates: "list[int | None]") -> Solution:
    """Batched LOBPCG with guard vectors from a keyed random start, residuals re-evaluated in float64."""
    batch, backend = operator.batch, operator.batch.backend
    xp = backend.xp
    width = min(_block_width(k, operator.size), operator.size - 1)
    if width < k:
        return _unsolved(batch, k)
    keys = stream_keys(plan.seed, "start-block", replicates)
    start = backend.standard_normals(keys, (operator.size, width), plan.dtype) * operator.mask(plan.dtype)
    state = lobpcg(
        backend,
        operator.apply,
        start,
        operator.trivial(plan.dtype),
        k - 1,
        lambda values: _operator_tolerance(operator, values, plan.tol),
        plan.maxiter,
    )
    values, vectors = state.best_values, state.best
    solution = to_laplacian(operator, values, vectors, operator.apply(vectors), k, state.n_iterations)
    residuals = laplacian_residuals(batch, solution.eigenvalues, solution.vectors)
    solution = replace(solution, residual_norms=residuals)
    worst = backend.to_numpy(xp.max(residuals, axis=1))
    # A member with an infinite or NaN residual compares False here, and so counts as not converged.
    passed = [bool(r <= 2 * plan.tol) for r in worst]
    lost = _lost(operator, values[:, : k - 1])
    status = [why if why != "converged" or ok else "not_converged" for why, ok in zip(lost, passed, strict=True)]
    return _flag(solution, status)


def _escalate(batch: GraphBatch, k: int, plan: SolverPlan, replicates: "list[int | None]", status: str) -> Solution:
    """Solve one member again: without reduction if that lost its pairs, else wider, then densely."""
    xp = batch.backend.xp
    wide = replace(plan, dtype=xp.float64, tol=min(plan.tol, DEFAULT_TOL))
    whole = NormalizedAdjacency(batch)
    small = whole.size <= ESCALATE_SIZE
    if status == "reduction_lost":
        if small:
            return replace(_dense(whole, k, wide, replicates), status=("converged",))
        again = _iterate(whole, k, replace(wide, maxiter=2 * plan.maxiter), replicates)
        return again
    attempt = None
    if plan.dtype != xp.float64:
        operator: SymmetricOperator = whole if batch.structure.sides is None else BipartiteGram(batch)
        attempt = _iterate(operator, k, wide, replicates)
        if attempt.status[0] == "converged":
            return replace(attempt, status=("escalated_float64",))
    if small:
        return replace(_dense(whole, k, wide, replicates), status=("escalated_dense",))
    if attempt is None or attempt.status[0] == "reduction_lost":
        attempt = _iterate(whole, k, replace(wide, maxiter=2 * plan.maxiter), replicates)
    return attempt


def _block_width(k: int, size: int) -> int:
    """Non-trivial pairs wanted, plus 2 to 8 guard vectors."""
    return min(k - 1 + max(2, min(8, k // 3)) + 1, max(size - 1, 1))


def _operator_tolerance(operator: SymmetricOperator, values: Array, tol: float) -> Array:
    """Residual of the operator that gives the Laplacian a residual of `tol`: ``r_L = r_G / (sqrt(2) sigma)``."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram):
        return xp.full_like(values, tol)
    floor = SIGMA_FLOOR[_dtype_name(xp, values.dtype)]
    return tol * 2**0.5 * xp.sqrt(xp.maximum(values, xp.full_like(values, floor**2)))


def _lost(operator: SymmetricOperator, values: Array) -> list[str]:
    """Which members have wanted singular values too small for the reduction."""
    xp = operator.batch.backend.xp
    if not isinstance(operator, BipartiteGram) or values.shape[1] == 0:
        return ["converged"] * operator.batch.n_members
    sigma = operator.batch.backend.to_numpy(smallest_sigma(xp, values))
    floor = SIGMA_FLOOR[_dtype_name(xp, values.dtype)]
    return ["converged" if s >= floor else "reduction_lost" for s in sigma]


def _dtype_name(xp: Any, dtype: Any) -> str:
    return "float64" if dtype == xp.float64 else "float32"


def _flag(solution: Solution, status: list[str]) -> Solution:
    return replace(solution, status=tuple(status))


def _unsolved(batch: GraphBatch, k: int) -> Solution:
    """Shapes of a solution whose members all have to be solved without reduction (or densely)."""
    xp, members = batch.backend.xp, batch.n_members
    nan = xp.full((members, k), xp.nan, dtype=xp.float64)
    vectors = xp.zeros((members, batch.structure.n_nodes, k), dtype=batch.dtype)
    none = xp.zeros((members,), dtype=xp.int32)
    return Solution(nan, vectors, nan, nan[:, 0], none, ("reduction_lost",) * members)
