"""One graph over eight devices of the host: the same numbers, an eighth of the weights each, one sum a product."""

from __future__ import annotations

import re

import numpy as np
import pytest
import scipy.sparse as sp
from jax_kernels import two_processes
from jax_kernels.conftest import N_DEVICES
from jax_kernels.jax_problems import CHAINS, K, mixed_skips
from jax_kernels.x64 import x64
from spectrum.acceptance import all_eigenvalues, assert_accepted, laplacian

import netspectra as ns
from netspectra.errors import BackendUnavailableError
from netspectra.graph.batch import load_batch
from netspectra.spectrum.operator import BipartiteGram, NormalizedAdjacency
from netspectra.training.operators import ReducedOperator

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

TOL = 1e-5
SKIPS_K = 4


def random_chain():
    return CHAINS["random"].graph("float32")


GRAPHS = {"chain": (random_chain, K), "skips with a sparse block": (mixed_skips, SKIPS_K)}


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["lobpcg", "dense"])
@pytest.mark.parametrize("name", GRAPHS)
def test_eigenvalues_are_those_of_one_device(spread, on_jax, name, solver):
    """18, 19, 13 and 9 rows are no multiples of eight."""
    make, k = GRAPHS[name]
    graph = make()
    many = ns.eigenpairs(graph, k, solver=solver, backend=spread)
    one = ns.eigenpairs(graph, k, solver="dense" if name != "chain" else solver, backend=on_jax)
    assert (many.backend, many.device, many.status) == ("jax", f"{N_DEVICES} x cpu", "converged")
    np.testing.assert_allclose(many.eigenvalues, one.eigenvalues, rtol=0, atol=10 * TOL)
    assert_accepted(many, graph, np.linalg.eigvalsh(laplacian(graph)))


def test_the_reduction_that_is_lost_is_made_up_for(spread):
    """Singular values too small for their squares: solved from B, which all devices have whole."""
    p = CHAINS["hardly-any-modules"]
    graph = p.graph("float32")
    pairs = ns.eigenpairs(graph, K, solver="lobpcg", backend=spread)
    assert pairs.status == "escalated_dense"
    assert_accepted(pairs, graph, all_eigenvalues(p, graph))


def test_a_graph_without_some_nodes(spread):
    p = CHAINS["isolated-nodes"]
    graph = p.graph("float32")
    assert_accepted(ns.eigenpairs(graph, K, solver="lobpcg", backend=spread), graph, all_eigenvalues(p, graph))


def test_clusters_and_ncuts_are_those_of_the_cpu(spread):
    """The same solve, and k-means as everywhere; of a graph without modules the n-cut is what can be compared."""
    graph = random_chain()
    many = ns.spectral_clustering(graph, K, n_init=4, solver="lobpcg", backend=spread)
    assert (many.device, many.status, many.labels.dtype) == (f"{N_DEVICES} x cpu", "converged", np.int32)
    host = ns.ncut(graph, many.labels, backend="cpu")
    assert many.ncut == pytest.approx(host, rel=1e-5)
    assert ns.ncut(graph, many.labels, backend=spread) == pytest.approx(host, rel=1e-5)
    assert many.ncut == pytest.approx(ns.spectral_clustering(graph, K, n_init=4, backend="cpu").ncut, rel=0.05)


def test_float64_with_x64(spread):
    graph = CHAINS["random"].graph("float64")
    with x64():
        many = ns.eigenpairs(graph, K, solver="dense", backend=spread)
    assert many.dtype == "float64"
    one = ns.eigenpairs(graph, K, solver="dense", backend="cpu")
    np.testing.assert_allclose(many.eigenvalues, one.eigenvalues, rtol=0, atol=1e-12)


# -- memory and messages -----------------------------------------------------------------------------------------------


def shards(array):
    return [shard.data.size for shard in array.addressable_shards]


def test_each_device_holds_an_eighth_of_the_weights(spread):
    dense, sparse = np.ones((64, 30), np.float32), sp.random_array((40, 64), density=0.4, dtype=np.float32, rng=0)
    block = spread.load_block([dense], symmetric=False)
    assert shards(block.values) == [64 * 30 // N_DEVICES] * N_DEVICES
    assert len({shard.device for shard in block.values.addressable_shards}) == N_DEVICES
    csr = spread.load_block([sp.csr_array(sparse)], symmetric=False)
    for part in (csr.values, csr.indices, csr.derived["rows"]):
        assert shards(part) == [40 * 64 * 4 // 10 // N_DEVICES] * N_DEVICES
    ragged = spread.load_block([np.ones((19, 30), np.float32)], symmetric=False)
    assert ragged.shape == (19, 30)
    assert shards(ragged.values) == [3 * 30] * N_DEVICES, "padded to 24 rows"
    np.testing.assert_array_equal(spread.to_numpy(ragged.member(0)), np.ones((19, 30)))


@pytest.mark.parametrize("storage", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("symmetric", [False, True])
def test_blocks_are_those_of_one_device(spread, on_jax, storage, n_members, symmetric):
    rng = np.random.default_rng(0)
    shape = (13, 13) if symmetric else (13, 9)
    members = [
        storage((rng.standard_normal(shape) * (rng.random(shape) < 0.6)).astype(np.float32)) for _ in range(n_members)
    ]
    many, one = (machine.load_block(members, symmetric=symmetric) for machine in (spread, on_jax))
    labels = [rng.integers(-1, 3, (n_members, size)).astype(np.int32) for size in shape]
    for machine_results in zip(
        (*spread.block_degrees(many), spread.cluster_sums(many, *map(spread.asarray, labels), 3)),
        (*on_jax.block_degrees(one), on_jax.cluster_sums(one, *map(on_jax.asarray, labels), 3)),
        strict=True,
    ):
        ours, theirs = map(spread.to_numpy, machine_results)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def mapped(spread, operator, batch, X):
    """The program of one product, as every device runs it."""
    import jax

    from netspectra.kernels.jax.trees import hold

    held = hold((batch, X))

    def call(held):
        batch, X = held.value()
        return hold(operator(batch).apply(X))

    return jax.jit(spread._spread.place(call, held)), held


def applied(batch, X, operator):
    return operator(batch).apply(X)


@pytest.mark.parametrize(
    ("name", "operator", "n_products"),
    [
        ("skips with a sparse block", NormalizedAdjacency, 1),
        ("chain", NormalizedAdjacency, 1),
        ("chain", BipartiteGram, 2),
    ],
)
def test_a_product_is_one_all_reduce(spread, name, operator, n_products):
    """G is two products, there and back. However many blocks there are, one message each."""
    graph = GRAPHS[name][0]()
    batch = load_batch([graph], spread)
    size = operator(batch).size
    X = spread.asarray(np.random.default_rng(0).standard_normal((1, size, 5)).astype(np.float32))
    program, held = mapped(spread, operator, batch, X)
    lowered = program.lower(held)
    assert len(re.findall(r"stablehlo\.all_reduce", lowered.as_text())) == n_products
    compiled = lowered.compile().as_text()
    assert len(re.findall(r"= \S+ all-reduce(?:-start)?\(", compiled)) == n_products
    assert not re.findall(r"all-gather|all-to-all|collective-permute|reduce-scatter", compiled)
    np.testing.assert_allclose(
        spread.run(applied, batch, X, operator),
        operator(load_batch([graph], ns.get_backend("cpu"))).apply(np.asarray(X)),
        rtol=0,
        atol=1e-5,
    )


def images(batch, X):
    return ReducedOperator(batch, X.dtype).images(X)


def test_both_images_of_a_tracked_block_are_complete(spread):
    graph = GRAPHS["chain"][0]()
    batch, alone = load_batch([graph], spread), load_batch([graph], ns.get_backend("cpu"))
    X = np.random.default_rng(0).standard_normal((1, batch.structure.reduced_size, 4)).astype(np.float32)
    for ours, theirs in zip(spread.run(images, batch, spread.asarray(X)), images(alone, X), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


def test_no_device_holds_the_graph_during_a_solve(spread):
    """Arguments per device, as XLA counts them: an eighth of the weights, and the replicated rest."""
    from netspectra.kernels.jax.trees import hold

    W = np.random.default_rng(0).standard_normal((512, 256)).astype(np.float32)
    batch = load_batch([ns.LayerGraph.from_weights([W])], spread)
    X = spread.asarray(np.ones((1, 256, 2), np.float32))
    program, _ = mapped(spread, BipartiteGram, batch, X)
    analysis = program.lower(hold((batch, X))).compile().memory_analysis()
    rest = batch.degrees.nbytes + X.nbytes
    assert analysis.argument_size_in_bytes <= W.nbytes // N_DEVICES + 2 * rest
    assert analysis.temp_size_in_bytes < W.nbytes // 2


# -- what it does not do -----------------------------------------------------------------------------------------------


def test_null_networks_are_refused(spread):
    graph = random_chain()
    with pytest.raises(BackendUnavailableError, match="over several devices draws no null networks; use one device"):
        ns.clusterability_test(graph, K, n_nulls=2, n_init=4, solver="lobpcg", backend=spread)


def test_gradients_are_refused(spread):
    block = spread.load_block([np.ones((8, 4), np.float32)], symmetric=False)
    with pytest.raises(BackendUnavailableError, match="over several devices has no gradients; use one device"):
        spread.edge_gradient(block, *(None,) * 4)


def test_weights_on_a_device_are_refused(spread):
    import jax.numpy as jnp

    with pytest.raises(BackendUnavailableError, match="over several devices takes weights from the host"):
        spread.load_block([jnp.ones((8, 4))], symmetric=False)


def test_a_mesh_of_two_axes_and_one_of_one_device(mesh, on_jax):
    import jax

    graph = random_chain()
    grids = mesh.devices.reshape(4, 2), mesh.devices[:1].reshape(1, 1)
    backends = [ns.get_backend("jax", mesh=jax.sharding.Mesh(grid, ("hosts", "devices"))) for grid in grids]
    assert [backend.device for backend in backends] == ["8 x cpu", "cpu"]
    labels = np.arange(graph.n_nodes) % 3
    for backend in backends:
        assert ns.ncut(graph, labels, backend=backend) == pytest.approx(ns.ncut(graph, labels, backend="cpu"), rel=1e-5)
    pairs, one = (ns.eigenpairs(graph, K, solver="dense", backend=b) for b in (backends[0], on_jax))
    np.testing.assert_allclose(pairs.eigenvalues, one.eigenvalues, rtol=0, atol=1e-5)


# -- several hosts -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_share_a_graph():
    """Two times four devices over JAX's own runtime: both processes get the same eigenvalues, and they are right."""
    graph = two_processes.graph()
    found = two_processes.run()
    assert [run["devices"] for run in found] == ["8 x cpu"] * 2
    assert [run["local"] for run in found] == [4, 4]
    assert [run["shards"] for run in found] == [[5 * 23] * 4] * 2, "37 rows padded to 40, five to a device"
    for name in ("eigenvalues", "labels", "ncut"):
        assert found[0][name] == found[1][name]
    spectrum = np.linalg.eigvalsh(laplacian(graph))
    np.testing.assert_allclose(found[0]["eigenvalues"], spectrum[: two_processes.K], rtol=0, atol=10 * TOL)
    assert found[0]["ncut"] == pytest.approx(ns.ncut(graph, found[0]["labels"], backend="cpu"), rel=1e-5)
