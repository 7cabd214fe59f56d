"""The bottom of the normalized Laplacian's spectrum: operators, solvers, eigenpairs."""

from netspectra.spectrum.eigenpairs import Eigenpairs, eigenpairs
from netspectra.spectrum.plan import SolverName, SolverPlan, plan_solver
from netspectra.spectrum.solution import STATUS_MEANING, Solution
from netspectra.spectrum.solve import solve

__all__ = [
    "STATUS_MEANING",
    "Eigenpairs",
    "Solution",
    "SolverName",
    "SolverPlan",
    "eigenpairs",
    "plan_solver",
    "solve",
]
