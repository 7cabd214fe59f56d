"""What a penalty asks: its options, and the graph that shapes of weights make, checked before any value is seen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.batch import Structure
from netspectra.graph.consistency import Orientation
from netspectra.training.channel_weights import Norm
from netspectra.training.wiring import Shapes, wire
from netspectra.validation import require_choice, require_count, require_seed, require_tolerance

__all__ = ["DEFAULT_MAXITER", "DEFAULT_TOL", "PenaltyProblem", "penalty_options", "penalty_problem", "too_many"]

DEFAULT_TOL = 5e-3
DEFAULT_MAXITER = 500
REACHABLE = {"float32": 4e-6, "float64": 1e-13}
"""Residuals of L below which rounding keeps a block of few vectors from getting."""


@dataclass(frozen=True)
class PenaltyProblem:
    """What shapes and options fix; hashable, so that a compiler may take it for a constant.

    Attributes
    ----------
    structure : Structure
        Layers of units or channels, those of the smaller side first where the graph is bipartite, and the ends of block
        i, which is weight i.
    shapes : tuple of tuple of int
    n_eigenvalues : int
    strength : float
    orientation : {"in-out", "out-in"}
    norm : {"l1", "l2", "operator-1"}
        Edge between channels of a convolution.
    tol : float
    maxiter : int
    seed : int
    """

    structure: Structure
    shapes: Shapes
    n_eigenvalues: int
    strength: float
    orientation: Orientation
    norm: Norm
    tol: float
    maxiter: int
    seed: int

    @property
    def factor(self) -> float:
        """What the sum of eigenvalues is multiplied with."""
        return self.strength / self.n_eigenvalues

    def tol_for(self, dtype: Any) -> float:
        """`tol`, or what can be reached in a dtype where that is more."""
        return max(self.tol, _reachable(dtype))


@cache
def _reachable(dtype: Any) -> float:
    return REACHABLE["float64" if str(dtype).endswith("float64") else "float32"]


def penalty_problem(
    shapes: Sequence[Sequence[int]],
    *,
    n_eigenvalues: int = 3,
    strength: float = 0.05,
    edges: Any = None,
    orientation: Orientation = "in-out",
    norm: Norm = "l1",
    tol: float = DEFAULT_TOL,
    maxiter: int = DEFAULT_MAXITER,
    seed: int = 0,
) -> PenaltyProblem:
    """Check options and shapes once, before any weight is looked at.

    Raises
    ------
    GraphError
        If the shapes do not fit together, the graph has too few nodes for `n_eigenvalues`, or an option is unknown.
    """
    options = penalty_options(n_eigenvalues, strength, norm, tol, maxiter, seed)
    plain = tuple(tuple(int(size) for size in shape) for shape in shapes)
    structure = _sides_first(wire(plain, edges, orientation))
    if options["n_eigenvalues"] >= structure.n_nodes:
        raise GraphError(too_many(options["n_eigenvalues"], structure.n_nodes, "nodes"))
    return PenaltyProblem(structure=structure, shapes=plain, orientation=orientation, **options)


def _sides_first(structure: Structure) -> Structure:
    """Layers in such an order that either side is one run of nodes, so that tracking cuts slices and joins nothing."""
    order = [layer for side in structure.sides or () for layer in side] or list(range(len(structure.sizes)))
    ends = tuple((order.index(source), order.index(target)) for source, target in structure.ends)
    return Structure(tuple(structure.sizes[layer] for layer in order), ends)


def penalty_options(n_eigenvalues: Any, strength: Any, norm: Any, tol: Any, maxiter: Any, seed: Any) -> dict[str, Any]:
    """Options that need no shapes, checked, by their names in :func:`penalty_problem`.

    Raises
    ------
    GraphError
        Naming the option.
    """
    if isinstance(strength, bool) or not isinstance(strength, int | float | np.floating) or not math.isfinite(strength):
        msg = f"strength must be a finite number, got {strength!r}"
        raise GraphError(msg)
    return {
        "n_eigenvalues": require_count("n_eigenvalues", n_eigenvalues, 1),
        "strength": float(strength),
        "norm": require_choice("norm", norm, get_args(Norm)),
        "tol": require_tolerance(tol) or DEFAULT_TOL,
        "maxiter": require_count("maxiter", maxiter, 1),
        "seed": require_seed(seed),
    }


def too_many(count: int, nodes: int, which: str) -> str:
    """Message of a graph that has too few nodes for `count` eigenvalues beyond the first."""
    return (
        f"n_eigenvalues must be less than the number of {which} ({nodes}), for the first eigenvalue is always 0, got "
        f"{count}; choose fewer"
    )
