"""One clustering of a trained network: scikit-learn's from the adjacency matrix on, ours from the layer graph on."""

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from netspectra.bindings.bench.accuracy import RESIDUAL_LIMIT, require
from netspectra.bindings.bench.contests import OURS, Contest, has_sklearn
from netspectra.bindings.bench.machine import n_cores
from netspectra.bindings.bench.official_pipeline import official_adjacency, official_clustering
from netspectra.bindings.bench.residual import largest_residual
from netspectra.bindings.bench.workloads import ChainWorkload
from netspectra.clustering import spectral_clustering
from netspectra.kernels import get_backend
from netspectra.spectrum import eigenpairs

__all__ = ["clustering_contest"]


def clustering_contest(workload: ChainWorkload) -> Contest:
    """From the network to labels, n-cut and certificate; scikit-learn with its default threads and with one.

    The peer gets the adjacency matrix ready-made. Threads left alone are often its slower choice.
    """
    backend = get_backend("cpu", n_threads=n_cores())
    graph, k, n_init = workload.graph, workload.k, workload.n_init
    sides: dict[str, Any] = {OURS: lambda: spectral_clustering(graph, k, n_init=n_init, backend=backend)}
    if has_sklearn():
        adjacency = official_adjacency(workload.weights)

        def sklearn() -> float:
            return official_clustering(adjacency, k, n_init, 0)[1]

        def one_thread() -> float:
            with threadpool_limits(limits=1):
                return sklearn()

        sides |= {"scikit-learn": sklearn, "scikit-learn, one thread": one_thread}

    def check(side: str, result: Any) -> dict[str, Any]:
        if side != OURS:
            return {"ncut": result}
        pairs = eigenpairs(graph, k, backend=backend)
        residual = largest_residual(workload.weights, pairs.eigenvalues, pairs.eigenvectors)
        require(residual <= RESIDUAL_LIMIT, f"{workload.name}: residual {residual:.2g}")
        difference = float(np.abs(result.eigenvalues - pairs.eigenvalues).max())
        require(difference <= RESIDUAL_LIMIT, f"{workload.name}: eigenvalues differ by {difference:.2g}")
        return {"ncut": result.ncut, "residual": residual, "iterations": result.n_iterations, "status": result.status}

    parameters = {"nodes": graph.n_nodes, "edges": graph.n_edges, "k": k, "n_init": n_init, "threads": n_cores()}
    return Contest(f"{workload.title}; one clustering", sides, check, parameters)
