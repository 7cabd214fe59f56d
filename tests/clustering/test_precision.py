"""Almost dead neurons: degrees that spread over more orders of magnitude than a dtype has digits."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import netspectra as ns
from netspectra.clustering.precision import FLOAT32_SPREAD, degree_spread
from netspectra.graph.batch import load_batch


def with_dying_neurons(scale: float, dtype: type = np.float32) -> ns.LayerGraph:
    """The shipped pruned network with twenty hidden neurons whose weights are all scaled down."""
    weights = [np.array(block.weights, dtype) for block in ns.example_graph("mnist-mlp-pruned").blocks]
    weights[0][:, :20] *= dtype(scale)
    weights[1][:20] *= dtype(scale)
    return ns.LayerGraph.from_weights(weights)


@pytest.mark.parametrize("scale", [1e-12, 1e-14, 1e-16])
@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_dying_neurons_do_not_take_the_clusters(scale: float, solver: str) -> None:
    expected = ns.spectral_clustering(with_dying_neurons(1e-10, np.float64), 12)
    found = ns.spectral_clustering(with_dying_neurons(scale), 12, solver=solver)
    assert found.status.startswith("escalated")
    assert found.converged
    assert found.ncut == pytest.approx(expected.ncut, abs=0.05)  # 11.0 where float32 placed them
    assert min(c.size for c in found.clusters) > 5


def test_what_float64_cannot_place_either_is_flagged() -> None:
    found = ns.spectral_clustering(with_dying_neurons(1e-30, np.float64), 12)
    assert (found.status, found.converged) == ("precision_limited", False)
    assert "even float64 cannot place" in found.verdict


def test_ordinary_networks_are_not_escalated() -> None:
    graph = ns.example_graph("mnist-mlp-pruned")
    assert degree_spread(load_batch([graph], ns.get_backend("cpu")))[0] < FLOAT32_SPREAD / 1e6
    assert ns.spectral_clustering(graph, 12).status == "converged"


def test_a_dying_member_changes_no_other() -> None:
    graphs = [with_dying_neurons(s) for s in (1, 1e-15, 0.5)]
    for graph, part in zip(graphs, ns.spectral_clustering(graphs, 12, n_init=3), strict=True):
        alone = ns.spectral_clustering(graph, 12, n_init=3)
        assert_array_equal(part.labels, alone.labels)
        assert (part.ncut, part.status) == (alone.ncut, alone.status)
