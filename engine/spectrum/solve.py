"""The bottom of every member's Laplacian spectrum: one attempt at the whole batch, then a ladder for each that failed.

Small problems are solved densely (subset ``eigh`` of G or S), the others by batched LOBPCG on the bipartite reduction
where there is one. A member whose wanted singular values are lost in the squares of G is solved again from B; one that
does not converge goes to float64, then to a dense solve; the others are not touched. What fails on every rung is
returned as ``"not_converged"``, never unflagged. A backend without float64 has a shorter ladder: a dense solve in
float32, then ``"precision_limited"``.
"""

from dataclasses import replace

from netspectra.graph.batch import GraphBatch, in_range
from netspectra.spectrum.attempts import LOST, Replicates, reduce, try_dense, try_lobpcg, try_singular
from netspectra.spectrum.operator import NormalizedAdjacency
from netspectra.spectrum.plan import SolverPlan, explicit_fits
from netspectra.spectrum.solution import Solution

__all__ = ["solve"]


def solve(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
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
    if k == 1:  # the trivial pair is known; the second says how far it stands from the rest
        return solve(batch, 2, plan, replicates).first(1)
    if plan.dtype != batch.backend.xp.float64:
        within = [bool(inside) for inside in batch.backend.to_numpy(in_range(batch, plan.dtype))]
        if not all(within):
            return _apart(batch, k, plan, replicates, within)
    attempt = try_dense if plan.solver == "dense" else try_lobpcg
    solution = attempt(reduce(batch), k, plan, replicates)
    escalate = _escalate_dense if plan.solver == "dense" else _escalate_lobpcg
    for index, status in enumerate(solution.status):
        if status != "converged":
            better = escalate(batch.member(index), k, plan, [replicates[index]], solution.member(index))
            better = replace(better, n_iterations=better.n_iterations + solution.n_iterations[index : index + 1])
            solution = solution.with_member(batch.backend.xp, index, better)
    return solution


def _apart(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates, within: list[bool]) -> Solution:
    """Members whose weights are out of range in the working dtype are solved in float64, the others as planned."""
    parts, order = [], []
    for inside, how in ((True, solve), (False, _solve_outside)):
        members = [i for i, here in enumerate(within) if here == inside]
        if members:
            parts.append(how(batch.select(members), k, plan, [replicates[i] for i in members]))
            order += members
    return Solution.gathered(batch.backend.xp, parts, order)


def _solve_outside(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Members out of range in float64; where there is none they are solved as well as may be, and flagged."""
    if not batch.backend.has_64_bit:
        attempt = try_dense if plan.solver == "dense" else try_lobpcg
        solution = attempt(reduce(batch), k, plan, replicates)
        return replace(solution, status=("precision_limited",) * batch.n_members)
    part = solve(batch, k, _widest(batch, plan), replicates)
    verdicts = zip(part.converged, part.status, strict=True)
    return replace(part, status=tuple("escalated_float64" if passed else status for passed, status in verdicts))


def _escalate_dense(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates, failed: Solution) -> Solution:
    """One member whose dense solve was refused: without squaring, then in float64."""
    solution = failed
    if batch.structure.sides is not None:
        solution = try_singular(batch, k, plan, replicates)
        if solution.status[0] == "converged":
            return solution
    if plan.dtype != _widest(batch, plan).dtype:
        solution = _explicit(batch, k, plan, replicates)
    return _earned(solution, "escalated_float64", _refused(batch))


def _escalate_lobpcg(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates, failed: Solution) -> Solution:
    """One member whose iteration was refused: in float64, then densely, or longer where it is too large for that."""
    wide, reduced = replace(_widest(batch, plan), explicit=False), reduce(batch)
    solution = failed
    if failed.status[0] != LOST and plan.dtype != wide.dtype:
        solution = try_lobpcg(reduced, k, wide, replicates)
        if solution.status[0] == "converged":
            return _earned(solution, "escalated_float64")
    if explicit_fits(batch.structure):
        last, status, refused = _explicit(batch, k, plan, replicates), "escalated_dense", _refused(batch)
    else:
        operator = NormalizedAdjacency(batch) if solution.status[0] == LOST else reduced
        last = try_lobpcg(operator, k, replace(wide, maxiter=2 * plan.maxiter), replicates)
        status, refused = "converged" if plan.dtype == wide.dtype else "escalated_float64", "not_converged"
    if solution is not failed:
        last = replace(last, n_iterations=last.n_iterations + solution.n_iterations)
    return _earned(last, status, refused)


def _explicit(batch: GraphBatch, k: int, plan: SolverPlan, replicates: Replicates) -> Solution:
    """Dense solve in the widest dtype that squares nothing."""
    wide = _widest(batch, plan)
    if batch.structure.sides is not None:
        return try_singular(batch, k, wide, replicates)
    return try_dense(NormalizedAdjacency(batch), k, wide, replicates)


def _widest(batch: GraphBatch, plan: SolverPlan) -> SolverPlan:
    """The plan in float64, or as it is where there is none."""
    return replace(plan, dtype=batch.backend.xp.float64) if batch.backend.has_64_bit else plan


def _refused(batch: GraphBatch) -> str:
    """What is said of a member that not even a dense solve in the widest dtype has solved."""
    return "not_converged" if batch.backend.has_64_bit else "precision_limited"


def _earned(solution: Solution, status: str, refused: str = "not_converged") -> Solution:
    """The status a member earned if it was accepted, else the flag."""
    return replace(solution, status=(status if solution.status[0] == "converged" else refused,))
