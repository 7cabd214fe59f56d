"""What the CUDA backend owes the CPU, asked alike of the emulated device and of a real one."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from clustering.planted import planted_labels
from sklearn.metrics import adjusted_rand_score

import netspectra as ns
from netspectra.graph.batch import load_batch
from netspectra.kernels import get_backend
from netspectra.nulls.model import prepare_null


def assert_same_null_networks(machine, name, null="shuffle", *, sparse):
    """Null networks 0 and 5 of a shipped network, bit for bit those of the CPU; their degrees to rounding."""
    graph = ns.example_graph(name)
    if sparse:
        graph = ns.LayerGraph.from_weights([sp.csr_array(block.weights) for block in graph.blocks])
    drawn = []
    for backend in (machine, get_backend("cpu")):
        model = prepare_null(graph, load_batch([graph], backend), null, 7)
        drawn.append(model.draw(backend, [0, 5]))
    for ours, theirs in zip(drawn[0].weights, drawn[1].weights, strict=True):
        for field in ("values", "indices", "indptr") if sparse else ("values",):
            np.testing.assert_array_equal(machine.to_numpy(getattr(ours, field)), getattr(theirs, field))
    np.testing.assert_allclose(machine.to_numpy(drawn[0].degrees), drawn[1].degrees, rtol=1e-12)


def assert_scored_as_on_the_cpu(machine, graph, null, share):
    """The n-cut to rounding, and those of at least `share` of the null networks."""
    ours, theirs = (
        ns.clusterability_test(graph, 3, n_nulls=12, n_init=4, null=null, backend=b) for b in (machine, "cpu")
    )
    np.testing.assert_allclose(ours.ncut, theirs.ncut, rtol=1e-9)
    assert np.mean(np.abs(ours.null_ncuts - theirs.null_ncuts) < 1e-6) >= share


def assert_planted_modules_found(backend, make, solver):
    """Every node in its module."""
    sizes = (60, 50, 40)
    found = ns.spectral_clustering(make(sizes, 4), 4, solver=solver, backend=backend)
    assert adjusted_rand_score(planted_labels(sizes, 4), found.labels) == 1.0
