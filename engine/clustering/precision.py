"""Eigenvectors precise enough to be divided by ``sqrt(d)``.

The embedding divides row *i* of an eigenvector by ``sqrt(d_i / vol)``, so noise e becomes ``e sqrt(vol / d_i)``.
A neuron that is almost dead (weights of 1e-16 beside ordinary ones) would be placed by rounding alone, far from all
others, and k-means would spend its clusters on such neurons. Members whose degrees spread that far are solved in
float64 and to a tighter tolerance, and say so; where even that is not enough, or there is no float64, they are flagged.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from netspectra.graph.batch import GraphBatch
from netspectra.spectrum import Solution, SolverPlan, solve
from netspectra.spectrum.plan import explicit_fits

__all__ = ["degree_spread", "solve_for_embedding"]

FLOAT32_SPREAD = 1e12
"""``vol / min d`` beyond which float32 (or a tolerance of 1e-5) is refused; its noise shows from about 1e14 on."""
PRECISE_TOL = 1e-9
LOBPCG_SPREAD = 1e17
"""The same for LOBPCG in float64 at the tighter tolerance; a dense solve goes further."""
FLOAT64_SPREAD = 1e28
"""The same for a dense solve in float64."""


def degree_spread(batch: GraphBatch) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Volume over least non-zero degree of every member, (B,)."""
    xp = batch.backend.xp
    least = xp.min(xp.where(batch.live, batch.degrees, xp.full_like(batch.degrees, xp.inf)), axis=1)
    with np.errstate(over="ignore"):
        return np.asarray(batch.backend.to_numpy(batch.volume / least), np.float64)


def solve_for_embedding(batch: GraphBatch, k: int, plan: SolverPlan, replicates: "list[int | None]") -> Solution:
    """Solve every member, those of far-spread degrees precisely; arguments as of :func:`netspectra.spectrum.solve`."""
    spread, xp = degree_spread(batch), batch.backend.xp
    ordinary = [i for i, s in enumerate(spread) if s <= FLOAT32_SPREAD]
    if len(ordinary) == batch.n_members or (plan.dtype == xp.float64 and plan.solver == "dense" and _fine(spread)):
        return solve(batch, k, plan, replicates)
    parts, order = [], list(ordinary)
    if ordinary:
        parts.append(solve(batch.select(ordinary), k, plan, [replicates[i] for i in ordinary]))
    for i, s in enumerate(spread):
        if s > FLOAT32_SPREAD:
            parts.append(_solve_precisely(batch.member(i), k, plan, [replicates[i]], float(s)))
            order.append(i)
    return Solution.gathered(xp, parts, order)


def _fine(spread: "np.ndarray[Any, Any]") -> bool:
    return bool(np.all(spread <= FLOAT64_SPREAD))


def _solve_precisely(
    batch: GraphBatch, k: int, plan: SolverPlan, replicates: "list[int | None]", spread: float
) -> Solution:
    """One member in float64, by the solver whose accuracy its spread needs."""
    if not batch.backend.has_64_bit:
        return replace(solve(batch, k, plan, replicates), status=("precision_limited",))
    precise = replace(plan, dtype=batch.backend.xp.float64, tol=min(plan.tol, PRECISE_TOL))
    limit = LOBPCG_SPREAD if plan.solver == "lobpcg" else FLOAT64_SPREAD
    if plan.solver == "lobpcg" and spread > LOBPCG_SPREAD and explicit_fits(batch.structure):
        precise, limit = replace(precise, solver="dense"), FLOAT64_SPREAD
    solution = solve(batch, k, precise, replicates)
    if not solution.converged[0]:
        return solution
    if spread > limit:
        return replace(solution, status=("precision_limited",))
    status = "escalated_float64" if precise.solver == plan.solver else "escalated_dense"
    return replace(solution, status=(status,))
