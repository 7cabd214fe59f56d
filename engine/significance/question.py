"""What a clusterability test is asked, once its arguments are known to make sense."""

from dataclasses import dataclass
from typing import Literal

from netspectra.clustering import SelectName
from netspectra.graph.layer_graph import LayerGraph
from netspectra.nulls.model import NullName
from netspectra.spectrum import SolverName

__all__ = ["Question", "StopName"]

StopName = Literal["fixed", "sequential"]


@dataclass(frozen=True)
class Question:
    """The validated arguments of one test; of `n_nulls` a sequential one draws no more than it needs."""

    graph: LayerGraph
    n_clusters: int
    n_nulls: int
    stop: StopName
    null: NullName
    seed: int
    n_init: int
    select: SelectName
    solver: SolverName
    tol: float | None
