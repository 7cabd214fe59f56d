"""What is measured in a process of its own: large graphs, ours and the peers' clusterings of them."""

import time
import warnings
from dataclasses import asdict
from typing import Any, Literal

from netspectra.bindings.bench.accuracy import adjusted_rand_index
from netspectra.bindings.bench.children import resident_anonymous
from netspectra.bindings.bench.planted import PlantedPartition
from netspectra.bindings.bench.timing import seconds_of
from netspectra.bindings.bench.workloads import normal_weights
from netspectra.graph import LayerGraph
from netspectra.kernels import get_backend

__all__ = ["cluster_chain", "cluster_planted", "peer_on_planted"]

Figures = dict[str, Any]


def cluster_chain(
    sizes: list[int],
    k: int,
    *,
    orientation: Literal["in-out", "out-in"] = "in-out",
    peers: list[str] | None = None,
    peer_seconds: float = 600.0,
    seed: int = 0,
) -> Figures:
    """Cluster a chain of dense layers of standard normal weights; then its eigenpairs beside `peers`.

    Memory counts from the weights, which are the caller's, to the partition; peers come after.
    """
    from netspectra.clustering import spectral_clustering

    weights = normal_weights(tuple(sizes), seed)
    window = _Window()
    graph = LayerGraph.from_weights(weights, orientation=orientation)
    part = spectral_clustering(graph, k)
    figures = window.closed() | _partition(part)
    figures |= {"edges": graph.n_stored, "nodes": graph.n_nodes, "weights": sum(W.nbytes for W in weights)}
    if peers is not None:
        from netspectra.bindings.bench.solvers import compare_solvers

        found = compare_solvers("", weights, k, get_backend("auto"), peers=peers, peer_seconds=peer_seconds)
        figures["solvers"] = [asdict(each) for each in found]
    return figures


def cluster_planted(nodes: int, n_init: int = 4, seed: int = 0) -> Figures:
    """Build a planted partition and find it again; everything from the first random number on counts."""
    from netspectra.clustering import spectral_clustering

    planted = PlantedPartition(nodes, seed=seed)
    window = _Window()
    building, A = seconds_of(planted.adjacency)
    graph = LayerGraph.from_adjacency(A)
    part = spectral_clustering(graph, planted.n_groups, n_init=n_init)
    figures = window.closed() | _partition(part)
    return figures | {
        "building": building,
        "nodes": planted.n_nodes,
        "edges": A.nnz // 2,
        "weights": 0,
        "ari": adjusted_rand_index(part.labels, planted.labels),
    }


def peer_on_planted(
    nodes: int, eigen_solver: str, eigen_tol: float | Literal["auto"] = "auto", n_init: int = 4, seed: int = 0
) -> Figures:
    """Do the same with scikit-learn's ``SpectralClustering``, threads as it likes.

    Its default tolerance for ``"lobpcg"`` is ``1.5e-8 n`` (SciPy's), far from our residual for a large n.
    """
    from sklearn.cluster import SpectralClustering

    planted = PlantedPartition(nodes, seed=seed)
    window = _Window()
    building, A = seconds_of(planted.adjacency)
    clustering = SpectralClustering(
        planted.n_groups,
        eigen_solver=eigen_solver,
        eigen_tol=eigen_tol,
        affinity="precomputed",
        assign_labels="kmeans",
        n_init=n_init,
        random_state=0,
    )
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        labels = clustering.fit_predict(A)
    return window.closed() | {
        "building": building,
        "nodes": planted.n_nodes,
        "edges": A.nnz // 2,
        "weights": 0,
        "ari": adjusted_rand_index(labels, planted.labels),
        "warnings": sorted({str(each.message).splitlines()[0][:200] for each in said}),
    }


class _Window:
    """What counts: the seconds and, for the parent, the moments between which memory is looked at."""

    def __init__(self) -> None:
        self._started, self._clock = time.monotonic(), time.perf_counter()

    def closed(self) -> Figures:
        seconds = time.perf_counter() - self._clock
        end = {"ended": time.monotonic(), "at_end": resident_anonymous()}
        return {"started": self._started, "seconds": seconds, **end}


def _partition(part: Any) -> Figures:
    return {
        "threads": get_backend("auto").n_threads,
        "seconds_compiling": part.timings["compile"],
        "k": part.n_clusters,
        "solver": part.solver,
        "status": part.status,
        "converged": bool(part.converged),
        "iterations": part.n_iterations,
        "residual": float(part.residual_norms.max()),
        "ncut": part.ncut,
    }
