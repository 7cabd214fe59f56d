"""The oracle keeps to the array-API standard: it gives the same on NumPy, on array-api-strict and on PyTorch."""

from __future__ import annotations

import array_api_compat.numpy
import numpy as np
import pytest
import scipy.sparse as sp

import netspectra as ns
from netspectra.kernels.keys import shuffle_keys, stream_keys
from netspectra.kernels.reference import ReferenceBackend

LIBRARIES = ["array_api_strict", pytest.param("torch", marks=pytest.mark.requires("torch"))]
KEYS = stream_keys(0, "kde-index", [0, 1])


@pytest.fixture(params=LIBRARIES, scope="module")
def other(request):
    if request.param != "torch":
        yield ReferenceBackend(request.param)
        return
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # arrays this small take longer to hand out than to compute
    yield ReferenceBackend("torch")
    torch.set_num_threads(threads)


def host(machine, found):
    """Every array of a nest of results as NumPy."""
    if isinstance(found, tuple | list):
        return [host(machine, part) for part in found]
    if hasattr(found, "indptr"):
        return [host(machine, part) for part in (found.values, found.indices, found.indptr)]
    return np.asarray(machine.to_numpy(found.values if hasattr(found, "n_members") else found))


def same(reference, other, verb, *, exact=True):
    """Do the same on both, and compare what comes out."""
    expected, found = (host(machine, verb(machine)) for machine in (reference, other))
    flat = [(expected, found)]
    while flat:
        a, b = flat.pop()
        if isinstance(a, list):
            flat += zip(a, b, strict=True)
            continue
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        if exact:
            np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_allclose(a, b, rtol=1e-5 if a.dtype == np.float32 else 1e-12, atol=1e-12)


def dense(shape=(7, 5), dtype=np.float32, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape) * (np.random.default_rng(seed + 1).random(shape) < 0.6)
    values = values.astype(dtype)
    values.flags.writeable = False
    return values


MEMBERS = {
    "dense": [dense(), dense(seed=3)],
    "fortran": [np.asfortranarray(dense())],
    "reversed": [dense()[::-1, ::2]],
    "float16": [dense(dtype=np.float16)],
    "csr": [sp.csr_array(dense()), sp.csr_array(dense(seed=3))],
}


@pytest.mark.parametrize("storage", MEMBERS)
def test_blocks(reference, other, storage):
    members = MEMBERS[storage]
    (m, n), rng = members[0].shape, np.random.default_rng(9)
    x, y, rows, cols = (rng.standard_normal((2, *s)).astype(np.float32) for s in ((m, 3), (n, 3), (m + n,), (n + m,)))
    source, target = (rng.integers(-1, 3, (2, size)).astype(np.int32) for size in (m, n))

    def verb(machine):
        load, W = machine.asarray, machine.load_block(members, symmetric=False)
        corners = [(W, 0, 0, False), (W, m, n, True)]
        return (
            W,
            machine.block_degrees(W),
            machine.block_product(W, load(x), load(y)),
            machine.cluster_sums(W, load(source), load(target), 3),
            machine.scaled_dense((m + n, n + m), corners, load(rows), load(cols)),
        )

    same(reference, other, verb, exact=False)


@pytest.mark.parametrize("storage", ["dense", "csr"])
def test_a_symmetric_block(reference, other, storage):
    W = dense((6, 6)) if storage == "dense" else sp.csr_array(dense((6, 6)))
    same(reference, other, lambda machine: machine.load_block([W], symmetric=True))


def test_shuffles_are_bit_identical(reference, other):
    W = dense((9, 6))
    occupied = np.flatnonzero(W).astype(np.int64)
    upper = np.flatnonzero(np.triu(np.ones((6, 6), bool), k=1)).astype(np.int64)
    items, keys = np.arange(occupied.size, dtype=np.int64), shuffle_keys(1, [0, 1], 0, W.size)
    few, triangle = shuffle_keys(1, [0, 1], 0, occupied.size), shuffle_keys(1, [0], 0, 15)

    def verb(machine):
        load, values = machine.asarray, machine.asarray(W.reshape(-1)[occupied])
        csr = machine.load_block([sp.csr_array(W)], symmetric=False)
        return (
            machine.permute_dense(load(W), keys, None, None, W.shape),
            machine.permute_dense(values, keys, load(occupied), None, W.shape),
            machine.permute_dense(values, few, load(items), load(occupied), W.shape),
            machine.permute_sparse(values, keys, load(occupied), W.shape, symmetric=False),
            machine.permute_sparse(values[:9], triangle, load(items[:9]), (6, 6), symmetric=True),
            machine.permute_dense(values[:9], triangle, load(items[:9]), load(upper), (6, 6)),
            machine.permute_pattern(csr, few, None),
        )

    same(reference, other, verb)


def test_random_numbers(reference, other):
    def indices(machine):
        W = machine.load_block([np.arange(1.0, 21.0).reshape(4, 5)], symmetric=False)
        return machine.resample_nonzero(W, KEYS, KEYS, 0.0)

    def noise(machine):
        W = [machine.load_block([m], symmetric=False) for m in (dense(), sp.csr_array(dense()))]
        return (
            *(machine.resample_nonzero(w, KEYS, KEYS, 0.01) for w in W),
            machine.standard_normals(KEYS, (6, 4), machine.xp.float32),
            machine.standard_normals(KEYS, (6, 4), machine.xp.float64),
        )

    same(reference, other, indices)
    same(reference, other, noise, exact=False)


def test_small_algebra(reference, other):
    A = np.stack([dense((6, 6), np.float64, seed) for seed in range(2)])
    A = A + np.swapaxes(A, 1, 2)
    same(reference, other, lambda m: m.largest_eigenpairs(m.asarray(A), 3)[0], exact=False)
    values, vectors = host(other, other.eigh(other.asarray(A)))
    np.testing.assert_allclose(A @ vectors, vectors * values[:, None, :], atol=1e-12)


@pytest.mark.parametrize("keep_all", [True, False])
def test_kmeans(reference, other, keep_all):
    points = np.random.default_rng(0).standard_normal((2, 40, 3))
    live = np.ones((2, 40), bool)
    live[1, ::4] = False
    same(
        reference,
        other,
        lambda m: m.kmeans(
            m.asarray(points), m.asarray(live), 5, 3, KEYS, max_iter=300, tol=m.asarray(np.zeros(2)), keep_all=keep_all
        ),
        exact=False,
    )


# -- the engine on top of it -------------------------------------------------------------------------------------------


def graphs():
    rng = np.random.default_rng(4)
    chain = [rng.standard_normal(shape).astype(np.float32) for shape in ((9, 8), (8, 7))]
    A = rng.random((13, 13)) * (rng.random((13, 13)) < 0.7)
    sparse = [sp.csr_array(W * (rng.random(W.shape) < 0.6)) for W in chain]
    return {
        "chain": ns.LayerGraph.from_weights(chain),
        "float16": ns.LayerGraph.from_weights([W.astype(np.float16) for W in chain]),
        "sparse": ns.LayerGraph.from_weights(sparse),
        "adjacency": ns.LayerGraph.from_adjacency(np.triu(A, 1) + np.triu(A, 1).T),
    }


GRAPHS = graphs()


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_the_engine_clusters_on_every_library(reference, other, graph, solver):
    expected, found = (
        ns.spectral_clustering(GRAPHS[graph], 3, n_init=5, solver=solver, backend=machine)
        for machine in (reference, other)
    )
    np.testing.assert_array_equal(expected.labels, found.labels)
    np.testing.assert_allclose(found.ncut, expected.ncut, rtol=1e-9)
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, atol=1e-5)


@pytest.mark.parametrize("null", ["shuffle", "kde"])
@pytest.mark.parametrize("graph", GRAPHS)
def test_the_engine_tests_on_every_library(reference, other, graph, null):
    expected, found = (
        ns.clusterability_test(GRAPHS[graph], 3, n_nulls=2, n_init=3, null=null, backend=machine)
        for machine in (reference, other)
    )
    np.testing.assert_allclose(found.null_ncuts, expected.null_ncuts, rtol=1e-6)
    assert found.p_value == expected.p_value


def test_a_batch_that_is_partly_disconnected(reference, other):
    whole = ns.LayerGraph.from_weights([np.random.default_rng(0).random((8, 8))])
    apart = ns.LayerGraph.from_weights([np.kron(np.eye(4), np.ones((2, 2)))])
    for machine in (reference, other):
        parts = ns.spectral_clustering([apart, whole], 3, n_init=3, backend=machine)
        assert [part.status for part in parts] == ["disconnected", "converged"]
        assert parts[0].ncut == 0


def test_the_whole_wave_is_one_batch(reference):
    assert reference.in_flight(64) == 64
    assert reference.map_replicates(lambda machine, some: (machine is reference, some), range(2, 5)) == [
        (True, [2, 3, 4])
    ]


def test_namespaces_are_taken_by_name_or_as_they_are():
    import array_api_strict

    assert ReferenceBackend().xp is ReferenceBackend("numpy").xp is ReferenceBackend(np).xp is array_api_compat.numpy
    assert ReferenceBackend("array_api_strict").xp is ReferenceBackend(array_api_strict).xp is array_api_strict
    assert "array_api_strict" in repr(ReferenceBackend(array_api_strict))
    assert ns.get_backend("reference", xp="array_api_strict").xp is array_api_strict


@pytest.mark.requires("torch")
def test_torch_is_wrapped(require):
    torch = require("torch")
    machine = ReferenceBackend(torch)
    assert machine.xp is ReferenceBackend("torch").xp
    assert isinstance(machine.asarray(np.ones(3)), torch.Tensor)
    tensor = torch.ones(2, dtype=torch.float64)
    assert machine.asarray(tensor) is tensor or machine.asarray(tensor).equal(tensor)
