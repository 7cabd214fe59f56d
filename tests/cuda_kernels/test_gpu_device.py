"""What only a real GPU can tell: whole tests on it, memory, other libraries' arrays, and the same bits twice."""

from __future__ import annotations

import gc
import warnings

import ml_dtypes
import numpy as np
import pytest
from clustering.planted import chain, csr_chain
from cuda_kernels.agreement import (
    assert_planted_modules_found,
    assert_same_null_networks,
    assert_scored_as_on_the_cpu,
)
from scipy.stats import ks_2samp

import netspectra as ns
from netspectra.graph.batch import load_batch
from netspectra.graph.device import device_of
from netspectra.kernels.keys import shuffle_keys
from netspectra.kernels.weights import DenseWeights

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.requires("gpu"),
    pytest.mark.filterwarnings("default"),  # what CUDA's libraries say about themselves is no fault of ours
]
LARGE = 46_400
"""A square block of this size has more than 2**31 elements."""


@pytest.fixture(scope="module")
def cupy(require):
    return require("gpu")


@pytest.fixture(scope="module")
def machine(cupy):
    return ns.get_backend("cuda")


@pytest.fixture(scope="module", params=["mnist-mlp", "mnist-mlp-pruned"])
def shipped(request, machine):
    """A trained network tested by both backends: the graph, ours, the CPU's."""
    graph = ns.example_graph(request.param)
    return graph, *(ns.clusterability_test(graph, 12, n_nulls=100, n_init=10, backend=b) for b in (machine, "cpu"))


def on_device(cupy, graph):
    """The same dense graph over CuPy arrays."""
    return ns.LayerGraph.from_weights([cupy.asarray(np.array(block.weights)) for block in graph.blocks])


# -- the whole test


def test_the_shipped_networks_are_tested_as_on_the_cpu(shipped):
    graph, ours, theirs = shipped
    assert (ours.backend, ours.device, ours.null_status) == ("cuda", "cuda:0", {"converged": 100})
    np.testing.assert_allclose(ours.partition.eigenvalues, theirs.partition.eigenvalues, rtol=0, atol=10 * ours.tol)
    assert ks_2samp(ours.null_ncuts, theirs.null_ncuts).pvalue > 0.01
    assert abs(ours.null_ncuts.mean() - theirs.null_ncuts.mean()) < theirs.null_sd
    np.testing.assert_allclose(ns.ncut(graph, ours.labels, backend="cpu"), ours.ncut, rtol=1e-12)


@pytest.mark.parametrize("null", ["shuffle", "shuffle-nonzero"])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-mlp-pruned"])
def test_null_networks_are_those_of_the_cpu_bit_for_bit(machine, name, sparse, null):
    assert_same_null_networks(machine, name, null, sparse=sparse)


@pytest.mark.parametrize("null", ["shuffle", "shuffle-nonzero", "kde", "kde-nonzero"])
@pytest.mark.parametrize("make", [chain, csr_chain])
def test_every_null_model_is_scored_as_on_the_cpu(machine, null, make):
    assert_scored_as_on_the_cpu(machine, make((40, 30, 20)), null, share=0.8)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("make", [chain, csr_chain])
def test_planted_modules_are_found(machine, solver, make):
    assert_planted_modules_found(machine, make, solver)


def test_the_same_run_gives_the_same_bits(machine):
    graph = ns.example_graph("mnist-mlp")
    first = ns.clusterability_test(graph, 12, n_nulls=40, n_init=5, batch_size=16, backend=machine)
    for batch_size in (16, first.plan):
        again = ns.clusterability_test(graph, 12, n_nulls=40, n_init=5, batch_size=batch_size, backend=machine)
        np.testing.assert_array_equal(again.null_ncuts, first.null_ncuts)
        np.testing.assert_array_equal(again.labels, first.labels)
        np.testing.assert_array_equal(again.partition.eigenvalues, first.partition.eigenvalues)
        assert again.plan.waves == first.plan.waves == ((2, 16), (1, 8))


def test_a_graph_that_falls_apart_harms_no_other(machine):
    whole = np.random.default_rng(0).random((30, 20))
    apart = np.kron(np.eye(5), np.ones((6, 4)))
    graphs = [ns.LayerGraph.from_weights([W]) for W in (whole, apart, whole)]
    ours, theirs = (ns.spectral_clustering(graphs, 4, backend=b) for b in (machine, "cpu"))
    assert [part.status for part in ours] == [part.status for part in theirs]
    assert ours[1].status == "disconnected"
    np.testing.assert_allclose([part.ncut for part in ours], [part.ncut for part in theirs], rtol=1e-9, atol=1e-12)


# -- arrays of the device


def test_cupy_arrays_are_used_where_they_are(cupy, machine):
    weights = [cupy.asarray(np.random.default_rng(i).standard_normal((300, 300), np.float32)) for i in range(3)]
    graph = ns.LayerGraph.from_weights(weights)
    assert graph.device == "cuda:0"
    assert [block.weights.data.ptr for block in graph.blocks] == [W.data.ptr for W in weights]
    batch = load_batch([graph], machine)
    assert [block.values.data.ptr for block in batch.weights] == [W.data.ptr for W in weights]
    host = ns.LayerGraph.from_weights([cupy.asnumpy(W) for W in weights])
    ours, theirs = (ns.eigenpairs(g, 5, backend=b) for g, b in ((graph, "auto"), (host, "cpu")))
    assert ours.backend == "cuda"
    np.testing.assert_allclose(cupy.asnumpy(ours.eigenvalues), theirs.eigenvalues, rtol=0, atol=1e-4)


@pytest.mark.requires("torch")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_torch_tensors_are_used_where_they_are(machine, require, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = require("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch: built without CUDA")
    generator = torch.Generator(device="cuda").manual_seed(0)
    weights = [torch.randn((300, 300), generator=generator, device="cuda").to(getattr(torch, dtype)) for _ in range(3)]
    graph = ns.LayerGraph.from_weights(weights, orientation="out-in")
    assert (graph.device, graph.dtype) == ("cuda:0", np.dtype(getattr(ml_dtypes, dtype, dtype)))
    batch = load_batch([graph], machine)
    assert [block.values.data.ptr for block in batch.weights] == [W.data_ptr() for W in weights]
    host = ns.LayerGraph.from_weights([W.float().cpu().numpy() for W in weights], orientation="out-in")
    ours, theirs = (ns.eigenpairs(g, 5, backend=b) for g, b in ((graph, "auto"), (host, "cpu")))
    np.testing.assert_allclose(
        machine.to_numpy(machine.asarray(ours.eigenvalues)), theirs.eigenvalues, rtol=0, atol=1e-4
    )


def test_only_results_come_back(cupy, machine, monkeypatch):
    graph = on_device(cupy, ns.LayerGraph.from_weights([np.random.default_rng(0).random((1500, 1200), np.float32)]))
    copied, to_host = [], machine._machine.to_host

    def counted(array):
        copied.append(array.nbytes)
        return to_host(array)

    monkeypatch.setattr(machine._machine, "to_host", counted)
    ns.clusterability_test(graph, 4, n_nulls=8, n_init=3, backend=machine)
    assert sum(copied) < graph.blocks[0].weights.nbytes / 4


def test_the_laplacian_is_sparse_on_the_device(cupy):
    from cupyx.scipy import sparse

    host = chain((40, 30, 20))
    found = ns.normalized_laplacian(on_device(cupy, host))
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_allclose(found.get().toarray(), ns.normalized_laplacian(host).toarray(), rtol=0, atol=1e-6)


def test_eigenvectors_stay_on_the_device(cupy):
    graph = on_device(cupy, chain((40, 30, 20)))
    assert device_of(ns.eigenpairs(graph, 4).eigenvectors) == graph.device


def test_a_null_network_stays_on_the_device(cupy):
    host = ns.example_graph("mnist-mlp-pruned")
    ours, theirs = ns.null_network(on_device(cupy, host), 3), ns.null_network(host, 3)
    assert ours.device == "cuda:0"
    for one, other in zip(ours.blocks, theirs.blocks, strict=True):
        np.testing.assert_array_equal(cupy.asnumpy(one.weights), other.weights)


# -- memory


def test_a_wave_that_does_not_fit_is_halved(cupy, machine):
    """CuPy's pool gets room for the weights of 64 null networks, and nothing else; a wave of 64 is asked for."""
    graph = ns.example_graph("mnist-mlp")
    ns.clusterability_test(graph, 12, n_nulls=8, n_init=2, backend=machine)
    pool = cupy.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()
    before = pool.used_bytes()
    pool.set_limit(size=pool.total_bytes() + 64 * sum(block.weights.nbytes for block in graph.blocks))
    try:
        found = ns.clusterability_test(graph, 12, n_nulls=64, n_init=2, batch_size=64, backend=machine)
    finally:
        pool.set_limit(size=0)
    assert found.plan.reductions
    assert all("out of memory" in why for why in found.plan.reductions)
    assert sum(count * size for count, size in found.plan.waves) == 64
    assert max(size for _, size in found.plan.waves) < 64
    assert found.n_failed == 0
    same = ns.clusterability_test(graph, 12, n_nulls=64, n_init=2, batch_size=found.plan, backend=machine)
    np.testing.assert_array_equal(same.null_ncuts, found.null_ncuts)
    gc.collect()
    machine.free_memory()
    assert pool.used_bytes() <= before + (1 << 20)


def test_memory_is_given_back_after_an_error(cupy, machine):
    graph = ns.example_graph("mnist-mlp")
    pool = cupy.get_default_memory_pool()
    ns.spectral_clustering(graph, 3, n_init=1, backend=machine)
    gc.collect()
    pool.free_all_blocks()
    used = pool.used_bytes()
    pool.set_limit(size=pool.total_bytes() + (1 << 20))
    try:
        with pytest.raises((MemoryError, ns.errors.LimitError)):
            ns.clusterability_test(graph, 12, n_nulls=4, n_init=1, backend=machine)
    finally:
        pool.set_limit(size=0)
    gc.collect()
    machine.free_memory()
    assert pool.used_bytes() <= used + (1 << 20)
    assert ns.spectral_clustering(graph, 3, n_init=1, backend=machine).converged


def test_a_block_of_more_than_2_to_the_31_elements(cupy, machine):
    """All weights are 1 but those of the last row, which are 2: wherever an index overflows, a sum is wrong."""
    if machine.available_memory() < 16 << 30:
        pytest.skip("gpu: 16 GB of free device memory are needed")
    bits = cupy.full((LARGE, LARGE), 0x3F80, dtype=cupy.uint16)
    bits[-1, :] = 0x4000
    W = DenseWeights(bits.view(np.dtype(ml_dtypes.bfloat16))[None])
    assert W.values.size > 2**31
    wanted_rows, wanted_cols = np.full(LARGE, float(LARGE)), LARGE + 1.0
    wanted_rows[-1] *= 2
    rows, cols = machine.block_degrees(W)
    np.testing.assert_array_equal(machine.to_numpy(rows)[0], wanted_rows)
    np.testing.assert_array_equal(machine.to_numpy(cols)[0], wanted_cols)
    x = machine.asarray(np.ones((1, LARGE, 3)))
    y_source, y_target = machine.block_product(W, x, x)
    np.testing.assert_array_equal(machine.to_numpy(y_source)[0], np.repeat(wanted_rows[:, None], 3, axis=1))
    np.testing.assert_array_equal(machine.to_numpy(y_target)[0], np.full((LARGE, 3), wanted_cols))
    labels = machine.asarray((np.arange(LARGE) == LARGE - 1).astype(np.int32)[None])
    sums = machine.to_numpy(machine.cluster_sums(W, labels, labels, 2))[0, :2, :2]
    n = float(LARGE - 1)
    np.testing.assert_array_equal(sums, [[n * n, n], [2 * n, 2]])
    moved = machine.permute_dense(W.member(0), shuffle_keys(0, [0], 0, LARGE * LARGE), None, None, (LARGE, LARGE))
    found = moved.values.view(cupy.uint16)
    assert int(cupy.count_nonzero(found == 0x4000)) == LARGE
    assert int(cupy.count_nonzero(found == 0x3F80)) == LARGE * (LARGE - 1)
    assert int(cupy.count_nonzero(found[0, -1000:] == 0x4000)) < LARGE / 10
    del bits, W, moved, found
    machine.free_memory()
