"""The public eigensolver: bottom eigenpairs of the normalized Laplacian of one graph, or of several as one batch."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args, overload

import numpy as np

from netspectra.graph.admission import as_graphs, check_live
from netspectra.graph.batch import load_batch
from netspectra.graph.device import HOST
from netspectra.graph.layer_graph import LayerGraph
from netspectra.graph.placement import backend_for
from netspectra.kernels import Backend
from netspectra.records import Run
from netspectra.records.version import installed_version
from netspectra.spectrum.plan import SolverName, SolverPlan, is_unique, plan_solver
from netspectra.spectrum.solution import STATUS_MEANING, Solution
from netspectra.spectrum.solve import solve
from netspectra.validation import (
    require_choice,
    require_count,
    require_seed,
    require_tolerance,
)

__all__ = ["Eigenpairs", "eigenpairs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Eigenpairs(Run):
    """Bottom eigenpairs of one graph's normalized Laplacian.

    Attributes
    ----------
    eigenvalues : ndarray, shape (k,), float64
        Ascending, in [0, 2]; the first is exactly 0.
    eigenvectors : array, shape (n, k), working dtype
        Orthonormal; rows of isolated nodes are zero. Where the graph is: of a graph on a GPU an array on it.
    residual_norms : ndarray, shape (k,), float64
        ``|L x - lambda x|``.
    gap : float
        Eigenvalue k + 1 minus eigenvalue k (NaN where there is none; an estimate with LOBPCG). Inside a cluster of
        eigenvalues only the subspace means something.
    unique : bool
        False if the gap is zero to rounding (LOBPCG: to ``2 tol``): then the last eigenvectors are an arbitrary choice.
    n_iterations : int
        Of LOBPCG, over all attempts; 0 for a dense solve.
    converged : bool
    status : str
        ``"converged"``, ``"escalated_float64"``, ``"escalated_dense"`` or ``"not_converged"``.
    """

    eigenvalues: np.ndarray[Any, np.dtype[np.float64]]
    eigenvectors: Any
    residual_norms: np.ndarray[Any, np.dtype[np.float64]]
    gap: float
    unique: bool
    n_iterations: int
    converged: bool
    status: str

    def summary(self) -> str:
        """Few lines of text ending in one plain sentence of verdict."""
        values = ", ".join(f"{v:.6g}" for v in self.eigenvalues[:12])
        more = ", …" if self.eigenvalues.size > 12 else ""
        return (
            f"{self.eigenvalues.size} bottom eigenvalues of the normalized Laplacian ({self.solver}, {self.dtype}, "
            f"{self.backend})\n  {values}{more}\n  largest residual {self.residual_norms.max():.2g}, gap to the next "
            f"{self.gap:.3g}, {self.n_iterations} iterations\n{self.verdict}"
        )

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        unique = "" if self.unique else "; the last eigenvectors are not unique (the gap is zero within accuracy)"
        return f"{self.status.replace('_', ' ').capitalize()}: {STATUS_MEANING[self.status]}{unique}."

    def __repr__(self) -> str:
        return (
            f"Eigenpairs(k={self.eigenvalues.size}, n={self.eigenvectors.shape[0]}, status={self.status!r}, "
            f"max_residual={self.residual_norms.max():.2g}, gap={self.gap:.3g})"
        )


@overload
def eigenpairs(
    graph: LayerGraph,
    k: int,
    *,
    solver: SolverName = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> Eigenpairs: ...
@overload
def eigenpairs(
    graph: Sequence[LayerGraph],
    k: int,
    *,
    solver: SolverName = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> list[Eigenpairs]: ...
def eigenpairs(
    graph: LayerGraph | Sequence[LayerGraph],
    k: int,
    *,
    solver: SolverName = "auto",
    tol: float | None = None,
    maxiter: int | None = None,
    seed: int | None = 0,
    backend: str | Backend = "auto",
) -> Eigenpairs | list[Eigenpairs]:
    """Return the `k` smallest eigenvalues of the normalized Laplacian and their eigenvectors, the trivial one included.

    Parameters
    ----------
    graph : LayerGraph, or sequence of LayerGraph of equal layer sizes
        A sequence is solved as one batch, with one verdict per graph.
    k : int
        At least 1 and at most the number of non-isolated nodes.
    solver : {"auto", "dense", "lobpcg"}
        ``"auto"`` solves small problems densely, by the size of the smaller side where the graph is bipartite.
    tol : float, optional
        Bound on ``|L x - lambda x|`` for ``"lobpcg"``, default 1e-5; below 2e-6 the work is done in float64.
        ``"dense"`` is accurate to rounding in its dtype whatever `tol` says.
    maxiter : int, optional
        Iterations of LOBPCG before a member is escalated (float64, then dense), default 500.
    seed : int, optional
        Of the random starting block; None draws one, which the result records.
    backend : str or Backend

    Returns
    -------
    Eigenpairs, or list of Eigenpairs

    Raises
    ------
    GraphError
        If `k` or an option makes no sense for the graph.

    Notes
    -----
    Acceptance: ``"lobpcg"`` by residuals re-evaluated in float64, at most ``2 tol``; ``"dense"`` by LAPACK's rule
    ``|AZ - ZD| / (|A| n ulp) < 30``. Whatever fails is returned with ``status="not_converged"``, never unflagged.
    """
    graphs = as_graphs(graph)
    machine = backend_for(graphs, backend)
    require_choice("solver", solver, get_args(SolverName))
    tol, seed = require_tolerance(tol), require_seed(seed)
    if maxiter is not None:
        maxiter = require_count("maxiter", maxiter, 1)
    k = require_count("k", k, 1)
    started = time.perf_counter()
    with machine.session():
        batch = load_batch(graphs, machine)
        check_live(batch, graphs, "k", k)
        plan = plan_solver(batch, k, solver, tol, maxiter, seed)
        solution = solve(batch, k, plan, [None] * len(graphs))
        machine.synchronize()
    timings = {"total": time.perf_counter() - started, "compile": machine.compile_seconds}
    on_host = graphs[0].device == HOST
    found = [_one(machine, solution, i, plan, timings, on_host=on_host) for i in range(len(graphs))]
    return found[0] if isinstance(graph, LayerGraph) else found


def _one(
    machine: Backend, solution: Solution, i: int, plan: SolverPlan, timings: dict[str, float], *, on_host: bool
) -> Eigenpairs:
    values, residuals = (
        np.asarray(machine.to_numpy(numbers)[i], np.float64)
        for numbers in (solution.eigenvalues, solution.residual_norms)
    )
    vectors = solution.vectors[i, :, :]
    dtype = "float64" if vectors.dtype == machine.xp.float64 else "float32"
    gap = float(machine.to_numpy(solution.next_eigenvalue)[i]) - float(values[-1])
    return Eigenpairs(
        version=installed_version(),
        backend=machine.name,
        device=machine.device,
        dtype=dtype,
        solver=plan.solver,
        tol=plan.tol,
        seed=plan.seed,
        timings=timings,
        eigenvalues=values,
        eigenvectors=machine.to_numpy(vectors) if on_host else vectors,
        residual_norms=residuals,
        gap=gap,
        unique=is_unique(gap, float(np.finfo(dtype).eps), plan, solution.status[i]),
        n_iterations=int(machine.to_numpy(solution.n_iterations)[i]),
        converged=solution.converged[i],
        status=solution.status[i],
    )
