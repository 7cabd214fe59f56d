"""Without 64-bit numbers: what is escalated, what is flagged, what is refused, and that JAX has nothing to warn of."""

from __future__ import annotations

import numpy as np
import pytest
from jax_kernels.jax_problems import CHAINS, CLUSTERS, RUN, SKIPS, K, chain_of, planted
from jax_kernels.x64 import x64
from spectrum.acceptance import all_eigenvalues, assert_accepted

import netspectra as ns
from netspectra.errors import BackendUnavailableError, GraphError, LimitError
from netspectra.kernels import get_backend

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

F32 = np.dtype("float32")


def ones(rng, shape):
    return rng.uniform(0.5, 1.0, shape)


def test_an_iteration_that_fails_is_followed_by_a_dense_solve_on_the_device(on_jax):
    """On the CPU float64 comes first; here the ladder has one rung less."""
    p = CHAINS["random"]
    graph = p.graph(F32)
    pairs = ns.eigenpairs(graph, K, solver="lobpcg", maxiter=1, backend=on_jax)
    assert (pairs.status, pairs.dtype, pairs.n_iterations) == ("escalated_dense", "float32", 1)
    assert_accepted(pairs, graph, all_eigenvalues(p, graph))


def test_with_x64_a_member_goes_to_float64_before_that(on_jax):
    """The whole ladder, one iteration a rung."""
    graph = CHAINS["random"].graph(F32)
    with x64():
        pairs = ns.eigenpairs(graph, K, solver="lobpcg", maxiter=1, backend=on_jax)
    assert (pairs.status, pairs.dtype, pairs.n_iterations) == ("escalated_dense", "float32", 2)
    assert_accepted(pairs, graph, all_eigenvalues(CHAINS["random"], graph))


def test_what_the_dense_solve_is_refused_is_precision_limited(on_jax, monkeypatch):
    """The last rung in 32 bits: a residual above what LAPACK's rule allows."""
    from netspectra.spectrum import attempts

    monkeypatch.setattr(attempts, "lapack_bound", lambda batch, dtype: 0.0)
    graph = SKIPS.graph(F32)
    # One pair more makes a program of its own: what was compiled with the true bound would still be used.
    pairs = ns.eigenpairs(graph, SKIPS.k + 1, solver="dense", backend=on_jax)
    assert (pairs.status, pairs.converged) == ("precision_limited", False)
    assert pairs.verdict.startswith("Precision limited: ")
    np.testing.assert_allclose(pairs.eigenvalues, np.sort(SKIPS.spectrum)[: SKIPS.k + 1], rtol=0, atol=1e-5)


def with_a_dead_neuron(scale, dtype="float32"):
    graph = chain_of(ones, "float64")
    blocks = [np.array(block.weights) for block in graph.blocks]
    blocks[0][4] *= scale
    return ns.LayerGraph.from_weights([W.astype(dtype) for W in blocks])


def clustered(graph, backend):
    return ns.spectral_clustering(graph, K, n_init=2, solver="dense", backend=backend)


def test_degrees_spread_beyond_float32_are_flagged(on_jax):
    """The embedding divides by sqrt(d): rounding alone would place the neuron that is almost dead."""
    part = clustered(with_a_dead_neuron(1e-14), on_jax)
    assert (part.status, part.converged) == ("precision_limited", False)
    assert "Not to be relied on" in part.verdict
    assert clustered(with_a_dead_neuron(1e-14), "cpu").status == "escalated_float64"
    assert clustered(with_a_dead_neuron(1e-2), on_jax).converged


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_near_the_end_of_float32_are_flagged(on_jax, solver, dtype):
    """Their scales are out of proportion; what comes out is still about right."""
    graph = chain_of(lambda rng, shape: 1e-36 * ones(rng, shape), dtype)
    pairs = ns.eigenpairs(graph, K, solver=solver, backend=on_jax)
    assert (pairs.status, pairs.dtype) == ("precision_limited", "float32")
    assert np.isfinite(pairs.eigenvectors).all()
    plain = ns.eigenpairs(chain_of(ones, dtype), K, backend="cpu")
    np.testing.assert_allclose(pairs.eigenvalues, plain.eigenvalues, rtol=0, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-60, 1e60])
def test_weights_beyond_float32_are_refused(on_jax, scale):
    graph = chain_of(lambda rng, shape: scale * ones(rng, shape), "float64")
    for call in (
        lambda: ns.eigenpairs(graph, K, backend=on_jax),
        lambda: ns.spectral_clustering(graph, 3, backend=on_jax),
        lambda: ns.clusterability_test(graph, 3, n_nulls=2, backend=on_jax),
        lambda: ns.ncut(graph, [0] * graph.n_nodes, backend=on_jax),
    ):
        with pytest.raises(LimitError, match=r"no 64-bit numbers.*jax_enable_x64.*use backend='cpu'"):
            call()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_that_the_device_takes_for_zero_are_not_lost_silently(on_jax, dtype):
    """A neuron whose weights are 1e-40 has a cluster on the CPU; it must not become an isolated node here."""
    try:
        part = clustered(with_a_dead_neuron(1e-40, dtype), on_jax)
    except LimitError:
        return
    assert not part.converged


def test_a_volume_beyond_float32_names_the_limit(on_jax):
    graph = chain_of(lambda rng, shape: 1e37 * ones(rng, shape))
    assert ns.eigenpairs(graph, K, backend="cpu").converged
    with pytest.raises(LimitError, match="x64"):
        ns.eigenpairs(graph, K, backend=on_jax)


def test_a_tolerance_that_needs_float64_is_refused(on_jax):
    graph = CHAINS["random"].graph(F32)
    for call in (
        lambda tol: ns.eigenpairs(graph, K, tol=tol, backend=on_jax),
        lambda tol: ns.spectral_clustering(graph, 3, tol=tol, backend=on_jax),
        lambda tol: ns.clusterability_test(graph, 3, n_nulls=2, tol=tol, backend=on_jax),
    ):
        with pytest.raises(BackendUnavailableError, match=r"'jax' has no float64 here, and tol=1e-08 needs it.*x64"):
            call(1e-8)


def test_float64_asked_of_the_backend_is_refused():
    for dtype in ("float64", np.float64, np.dtype("float64")):
        with pytest.raises(BackendUnavailableError, match=r"no float64 here: .*jax_enable_x64.*dtype='float32'"):
            get_backend("jax", dtype=dtype)
    assert get_backend("jax", dtype="float32").dtype == "float32"
    with pytest.raises(GraphError, match="dtype must be 'float32', 'float64' or None"):
        get_backend("jax", dtype="float16")


def test_a_backend_made_with_x64_says_so_where_there_is_none():
    """Its float64 is gone: float32 is what it works in, and says that it does."""
    with x64():
        wide = get_backend("jax", dtype="float64")
        assert (wide.has_64_bit, wide.dtype) == (True, "float64")
    assert (wide.has_64_bit, wide.dtype) == (False, "float32")
    assert get_backend("jax").dtype == "float32"


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64"])
def test_every_dtype_is_worked_in_float32_without_a_warning(on_jax, dtype):
    """Warnings are errors here: JAX would warn of every float64 or int64 it is asked for."""
    draw = (lambda rng, shape: rng.integers(1, 9, shape)) if dtype == "int64" else ones
    graph = chain_of(draw, dtype)
    ours, theirs = (ns.eigenpairs(graph, K, solver="dense", backend=b) for b in (on_jax, "cpu"))
    assert (ours.dtype, ours.eigenvectors.dtype) == ("float32", np.float32)
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, rtol=0, atol=1e-4)


def test_a_whole_run_of_a_float64_network_is_one_in_float32(on_jax):
    result = ns.clusterability_test(planted(dtype=np.float64), CLUSTERS, **RUN, backend=on_jax)
    assert (result.dtype, result.partition.dtype, result.null_status) == ("float32", "float32", {"converged": 12})
    assert result.ncut == pytest.approx(ns.ncut(planted(dtype=np.float64), result.labels, backend="cpu"), rel=1e-5)
