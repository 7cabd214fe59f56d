"""Whole runs on JAX against the CPU: null networks bit for bit, clusterings, tests, records."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
from clustering.planted import csr_chain, planted_labels, random_chain
from jax_kernels.jax_problems import CLUSTERS, PLANTED_SIZES, RUN, planted
from jax_kernels.x64 import x64
from scipy.stats import ks_2samp
from sklearn.metrics import adjusted_rand_score

import netspectra as ns
from netspectra.graph.batch import load_batch
from netspectra.kernels import get_backend
from netspectra.nulls.model import NULL_MODELS, prepare_null

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]


def sparse_float32():
    """CSR in float32, a tenth of it outside the modules, and unequal numbers of weights per row."""
    return ns.LayerGraph.from_weights(
        [sp.csr_array(b.weights, dtype=np.float32) for b in csr_chain(PLANTED_SIZES).blocks]
    )


def with_skip():
    """A parameter-free skip, which nulls leave as it is, in CSR."""
    rng = np.random.default_rng(0)
    layers = [ns.Layer(f"layer{i}", size) for i, size in enumerate(PLANTED_SIZES)]
    learned = [
        ns.Block(i, i + 1, rng.standard_normal(s).astype(np.float32)) for i, s in enumerate(pairwise(PLANTED_SIZES))
    ]
    identity = sp.eye_array(20, 12, format="csr", dtype=np.float32)
    return ns.LayerGraph.from_blocks(layers, [*learned, ns.Block(0, 2, identity, learned=False)])


def adjacency(*, sparse):
    A = np.random.default_rng(5).standard_normal((14, 14)) * (np.random.default_rng(6).random((14, 14)) < 0.6)
    A = (A + A.T).astype(np.float32)
    np.fill_diagonal(A, 0)
    return ns.LayerGraph.from_adjacency(sp.csr_array(A) if sparse else A)


GRAPHS = {
    "dense": partial(random_chain, PLANTED_SIZES, dtype=np.float32),
    "half zero": lambda: ns.LayerGraph.from_weights(
        [
            np.where(np.random.default_rng(1).random(b.shape) < 0.4, b.weights, 0)
            for b in random_chain(PLANTED_SIZES).blocks
        ]
    ),
    "csr": sparse_float32,
    "float16": partial(random_chain, PLANTED_SIZES, dtype=np.float16),
    "skip": with_skip,
    "adjacency": partial(adjacency, sparse=False),
    "sparse adjacency": partial(adjacency, sparse=True),
}


def drawn(backend, graph, null):
    """Null networks 0 and 5, as a batch and as graphs on the host."""
    from netspectra.nulls.network import graph_of

    with backend.session():
        batch = prepare_null(graph, load_batch([graph], backend), null, 7).draw(backend, [0, 5])
        return batch, [graph_of(graph, batch, i) for i in range(2)]


def arrays_of(block):
    W = block.weights
    return [W.data, W.indices, W.indptr] if block.is_sparse else [np.asarray(W)]


@pytest.mark.parametrize(
    ("name", "null"),
    [
        (name, null)
        for name in GRAPHS
        for null in (NULL_MODELS if name in ("dense", "csr") else ("shuffle", "kde-nonzero"))
    ],
)
def test_null_networks_are_those_of_the_cpu(on_jax, name, null):
    """Class (a): positions and values bit for bit; what the KDE models draw, to 4 ulp."""
    graph = GRAPHS[name]()
    if graph.dtype == np.float64:
        graph = ns.LayerGraph.from_weights([b.weights.astype(np.float32) for b in graph.blocks])
    (batch, ours), (host, theirs) = (drawn(backend, graph, null) for backend in (on_jax, get_backend("cpu")))
    for mine, expected in zip(ours, theirs, strict=True):
        for one, other, given in zip(mine.blocks, expected.blocks, graph.blocks, strict=True):
            resampled = null.startswith("kde") and given.learned
            assert one.is_sparse == other.is_sparse
            for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
                if resampled and a.dtype.kind == "f":
                    np.testing.assert_array_equal(a == 0, b == 0)
                    assert np.all(np.abs(a - b) <= 4 * np.spacing(np.maximum(np.abs(a), np.float32(0.01))))
                else:
                    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(on_jax.to_numpy(batch.degrees), host.degrees, rtol=1e-5)


def test_null_networks_of_float64_weights_are_those_of_the_cpu(on_jax):
    graph = random_chain(PLANTED_SIZES)
    for null in ("shuffle", "kde-nonzero"):
        with x64():
            _, ours = drawn(on_jax, graph, null)
        _, theirs = drawn(get_backend("cpu"), graph, null)
        for mine, expected in zip(ours, theirs, strict=True):
            for one, other in zip(mine.blocks, expected.blocks, strict=True):
                assert one.dtype == np.float64
                tolerance = 1e-17 if null.startswith("kde") else 0
                np.testing.assert_allclose(one.weights, other.weights, rtol=1e-15, atol=tolerance)


@pytest.fixture(scope="module")
def tested(on_jax):
    """A planted network tested on both backends."""
    with x64(False):
        return [ns.clusterability_test(planted(), CLUSTERS, **RUN, backend=b) for b in (on_jax, "cpu")]


def test_a_test_is_that_of_the_cpu(tested):
    ours, theirs = tested
    assert (ours.backend, ours.device, ours.dtype, ours.null_status) == ("jax", "cpu", "float32", {"converged": 12})
    assert adjusted_rand_score(ours.labels, theirs.labels) == 1
    assert adjusted_rand_score(ours.labels, planted_labels(PLANTED_SIZES, CLUSTERS)) == 1
    np.testing.assert_allclose(ours.ncut, theirs.ncut, rtol=1e-5)
    np.testing.assert_allclose(ours.partition.eigenvalues, theirs.partition.eigenvalues, rtol=0, atol=10 * ours.tol)
    assert (ours.p_value, ours.n_failed, ours.status) == (theirs.p_value, 0, theirs.status)
    assert np.isfinite(ours.null_ncuts).all()
    # Single null n-cuts may differ (class (c)); most of so small ones do not.
    assert np.mean(np.abs(ours.null_ncuts - theirs.null_ncuts) < 1e-5) >= 0.5
    assert ks_2samp(ours.null_ncuts, theirs.null_ncuts).pvalue > 0.01
    assert ours.seed_sensitivity.n_seeds == 20


def test_what_jax_recorded_is_read_again(tested, tmp_path):
    result = tested[0]
    result.save(tmp_path / "result.npz")
    again = ns.ClusterabilityResult.load(tmp_path / "result.npz")
    assert again.to_dict() == result.to_dict()
    np.testing.assert_array_equal(again.labels, result.labels)
    np.testing.assert_array_equal(again.null_ncuts, result.null_ncuts)
    assert (again.backend, again.partition.backend, again.partition.labels.dtype) == ("jax", "jax", np.int32)
    assert type(result.labels) is type(result.partition.eigenvalues) is np.ndarray
    assert result.null_ncuts.dtype == result.partition.eigenvalues.dtype == np.float64


@pytest.mark.slow
def test_nulls_do_not_depend_on_the_batch(on_jax, tested):
    """Class (b): waves of four give the same n-cuts as one of twelve, to the rounding of other programs."""
    waves = ns.clusterability_test(planted(), CLUSTERS, **RUN, batch_size=4, backend=on_jax)
    assert waves.batch_size == 4
    np.testing.assert_array_equal(waves.labels, tested[0].labels)
    assert np.mean(np.abs(waves.null_ncuts - tested[0].null_ncuts) < 1e-5) >= 0.5


@pytest.mark.parametrize("null", ["shuffle-nonzero", "kde", "kde-nonzero"])
def test_every_null_model_is_scored_as_on_the_cpu(on_jax, null):
    ours, theirs = (ns.clusterability_test(planted(), CLUSTERS, **RUN, null=null, backend=b) for b in (on_jax, "cpu"))
    assert (ours.null, ours.n_failed) == (null, 0)
    np.testing.assert_allclose(ours.ncut, theirs.ncut, rtol=1e-5)
    assert ks_2samp(ours.null_ncuts, theirs.null_ncuts).pvalue > 0.01
    assert abs(ours.null_ncuts.mean() - theirs.null_ncuts.mean()) < theirs.null_sd


def test_the_restart_of_least_ncut_may_be_kept(on_jax):
    ours, theirs = (
        ns.spectral_clustering(planted(), CLUSTERS, n_init=4, select="ncut", backend=b) for b in (on_jax, "cpu")
    )
    assert (ours.select, ours.backend) == ("ncut", "jax")
    assert adjusted_rand_score(ours.labels, theirs.labels) == 1
    np.testing.assert_allclose(ours.ncut, theirs.ncut, rtol=1e-5)
    np.testing.assert_allclose(ns.ncut(planted(), ours.labels, backend=on_jax), ours.ncut, rtol=1e-6)
    np.testing.assert_allclose(ns.ncut(planted(), ours.labels, backend="cpu"), ours.ncut, rtol=1e-5)


def test_float64_with_x64(on_jax):
    graph = planted(dtype=np.float64)
    with x64():
        ours = ns.spectral_clustering(graph, CLUSTERS, n_init=4, solver="dense", backend=on_jax)
    theirs = ns.spectral_clustering(graph, CLUSTERS, n_init=4, solver="dense", backend="cpu")
    assert (ours.dtype, ours.status) == ("float64", "converged")
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_allclose(ours.ncut, theirs.ncut, rtol=1e-9)
    np.testing.assert_allclose(ours.ncut_lower_bound, theirs.ncut_lower_bound, rtol=1e-9)
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, rtol=0, atol=1e-9)


def test_a_dtype_may_be_asked_for():
    with x64():
        wide = get_backend("jax", dtype="float64")
        found = ns.eigenpairs(planted(), CLUSTERS, solver="dense", backend=wide)
        assert (found.dtype, found.eigenvectors.dtype) == ("float64", np.float64)
        assert ns.eigenpairs(planted(), CLUSTERS, solver="dense", backend=get_backend("jax")).dtype == "float32"


def test_a_disconnected_graph_is_packed(on_jax):
    graph = planted(noise=0.0)
    part = ns.spectral_clustering(graph, CLUSTERS, backend=on_jax)
    assert (part.status, part.ncut) == ("disconnected", 0)
    assert adjusted_rand_score(part.labels, planted_labels(PLANTED_SIZES, CLUSTERS)) == 1


@pytest.mark.slow
def test_the_shipped_network_is_tested_as_on_the_cpu(on_jax):
    graph = ns.example_graph("mnist-mlp-pruned")
    ours, theirs = (ns.clusterability_test(graph, 12, n_nulls=8, n_init=5, backend=b) for b in (on_jax, "cpu"))
    assert ours.null_status == {"converged": 8}
    np.testing.assert_allclose(ours.partition.eigenvalues, theirs.partition.eigenvalues, rtol=0, atol=10 * ours.tol)
    assert abs(ours.ncut - theirs.ncut) < 0.1
    assert abs(ours.null_ncuts.mean() - theirs.null_ncuts.mean()) < theirs.null_sd
    np.testing.assert_allclose(ns.ncut(graph, ours.labels, backend="cpu"), ours.ncut, rtol=1e-6)
