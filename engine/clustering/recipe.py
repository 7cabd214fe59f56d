"""How every network of a run is clustered: the observed one and its nulls alike, or the comparison is biased."""

from dataclasses import dataclass
from typing import Literal

from netspectra.spectrum import SolverPlan

__all__ = ["Recipe", "SelectName"]

SelectName = Literal["inertia", "ncut"]


@dataclass(frozen=True)
class Recipe:
    """Clusters, k-means restarts, which restart is kept, and how eigenpairs are found.

    Attributes
    ----------
    n_clusters, n_init : int
    select : {"inertia", "ncut"}
        Keep the restart of least inertia (as published) or of least n-cut.
    solver : SolverPlan
        Its seed also keys k-means.
    """

    n_clusters: int
    n_init: int
    select: SelectName
    solver: SolverPlan

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.solver.seed

    @property
    def dtype(self) -> Literal["float32", "float64"]:
        """Name of the working dtype."""
        return "float64" if "float64" in str(self.solver.dtype) else "float32"
