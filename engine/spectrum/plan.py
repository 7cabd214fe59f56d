"""Choice of solver, dtype and tolerance, from shapes and the machine alone."""

import math
from dataclasses import dataclass
from typing import Any, Literal

from netspectra.errors import BackendUnavailableError
from netspectra.graph.batch import GraphBatch, Structure
from netspectra.kernels.weights import n_stored

__all__ = ["SolverName", "SolverPlan", "block_width", "explicit_fits", "is_unique", "plan_solver"]

SolverName = Literal["auto", "dense", "lobpcg"]
DENSE_ELEMENTS = 1 << 24
"""Elements (64 MB in float32) of the explicit matrix, S or B, up to which ``solver="auto"`` is dense."""
ESCALATE_SIZE = 4000
"""Nodes (bipartite: twice the smaller side) up to which a member that LOBPCG cannot solve is solved densely."""
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
    explicit: bool = False
    """Whether LOBPCG multiplies by the explicit reduced matrix."""


def plan_solver(
    batch: GraphBatch, k: int, solver: SolverName, tol: float | None, maxiter: int | None, seed: int
) -> SolverPlan:
    """Settle what ``"auto"`` and None stand for, from shapes and the machine alone.

    Raises
    ------
    BackendUnavailableError
        If `tol` needs float64 and the backend has none.
    """
    size, xp = batch.structure.reduced_size, batch.backend.xp
    narrow = size < 5 * block_width(k, size)
    small = size <= batch.backend.dense_size and _explicit_elements(batch.structure) <= DENSE_ELEMENTS
    chosen: Literal["dense", "lobpcg"] = solver if solver != "auto" else "dense" if small or narrow else "lobpcg"
    tolerance = DEFAULT_TOL if tol is None else float(tol)
    if tolerance < FLOAT64_BELOW and not batch.backend.has_64_bit:
        msg = (
            f"backend {batch.backend.name!r} has no float64 here, and tol={tolerance:g} needs it; take tol of at least "
            f"{FLOAT64_BELOW:g}, enable float64 (JAX: jax_enable_x64), or use backend='cpu'"
        )
        raise BackendUnavailableError(msg)
    dtype = xp.float64 if tolerance < FLOAT64_BELOW else batch.dtype
    explicit = chosen == "lobpcg" and _explicit_pays(batch)
    return SolverPlan(chosen, dtype, tolerance, DEFAULT_MAXITER if maxiter is None else maxiter, seed, explicit)


def block_width(k: int, size: int) -> int:
    """Non-trivial pairs wanted, the next one, and 2 to 8 guard vectors."""
    return min(k + max(2, min(8, k // 3)), max(size - 1, 1))


def is_unique(gap: float, epsilon: float, plan: SolverPlan, status: str) -> bool:
    """Whether the gap behind the last eigenvalue is open beyond what the solve can tell (a NaN: there is no next one).

    `epsilon` is the unit roundoff of the vectors; LOBPCG's eigenvalues are good to its tolerance.
    """
    iterated = plan.solver == "lobpcg" and status not in ("escalated_dense", "disconnected")
    return math.isnan(gap) or gap > max(100 * epsilon, 2 * plan.tol if iterated else 0.0)


def explicit_fits(structure: Structure) -> bool:
    """Whether a member that LOBPCG cannot solve may be solved from the explicit matrix instead: seconds, 128 MB."""
    halves = 1 if structure.sides is None else 2
    return halves * structure.reduced_size <= ESCALATE_SIZE and _explicit_elements(structure) <= ESCALATE_SIZE**2


def _explicit_pays(batch: GraphBatch) -> bool:
    """Whether ``G = B B^T`` is small, and smaller than the weights that it is made of."""
    size = batch.structure.reduced_size
    if batch.structure.sides is None or size > batch.backend.explicit_size:
        return False
    return size * size <= sum(n_stored(block) // block.n_members for block in batch.weights)


def _explicit_elements(structure: Structure) -> int:
    """Elements of S, or of B where the graph is bipartite."""
    size = structure.reduced_size
    return size * (size if structure.sides is None else structure.n_nodes - size)
