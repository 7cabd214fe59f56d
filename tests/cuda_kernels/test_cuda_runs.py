"""The whole test through the CUDA backend, NumPy standing in for CuPy and emulated kernels for compiled ones."""

from __future__ import annotations

import numpy as np
import pytest
from clustering.planted import chain, csr_chain, random_chain
from cuda_kernels.agreement import (
    assert_planted_modules_found,
    assert_same_null_networks,
    assert_scored_as_on_the_cpu,
)
from cuda_kernels.emulated import EmulatedLauncher
from cuda_kernels.host_machine import HostMachine, emulated_backend
from scipy.stats import ks_2samp

import netspectra as ns
from netspectra.kernels.cuda import CudaBackend

pytestmark = pytest.mark.requires("cxx")


@pytest.fixture(scope="module")
def machine():
    return emulated_backend(EmulatedLauncher())


@pytest.fixture(scope="module", params=["mnist-mlp", "mnist-mlp-pruned"])
def shipped(request, machine):
    """A trained network tested by both backends: the graph, ours, the CPU's."""
    graph = ns.example_graph(request.param)
    return graph, *(ns.clusterability_test(graph, 12, n_nulls=24, n_init=5, backend=b) for b in (machine, "cpu"))


def test_the_shipped_networks_are_tested_as_on_the_cpu(shipped):
    graph, ours, theirs = shipped
    assert (ours.backend, ours.device, ours.solver, theirs.solver) == ("cuda", "cuda:emulated", "lobpcg", "dense")
    assert ours.null_status == {"converged": 24}
    np.testing.assert_allclose(ours.partition.eigenvalues, theirs.partition.eigenvalues, rtol=0, atol=10 * ours.tol)
    assert abs(ours.ncut - theirs.ncut) < 0.1
    assert ks_2samp(ours.null_ncuts, theirs.null_ncuts).pvalue > 0.01
    assert abs(ours.null_ncuts.mean() - theirs.null_ncuts.mean()) < theirs.null_sd
    np.testing.assert_allclose(ns.ncut(graph, ours.labels, backend="cpu"), ours.ncut, rtol=1e-12)


@pytest.mark.parametrize("name", ["mnist-mlp", "mnist-mlp-pruned"])
@pytest.mark.parametrize("sparse", [False, True])
def test_null_networks_are_those_of_the_cpu_bit_for_bit(machine, name, sparse):
    assert_same_null_networks(machine, name, sparse=sparse)


def test_thread_order_changes_nothing():
    """No kernel may depend on which thread comes first: a race would."""
    graph = ns.example_graph("mnist-mlp-pruned")
    runs = [
        ns.clusterability_test(graph, 12, n_nulls=3, n_init=3, backend=emulated_backend(EmulatedLauncher(order=order)))
        for order in ("ascending", "descending", "alternating")
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.null_ncuts, runs[0].null_ncuts)
        np.testing.assert_array_equal(other.labels, runs[0].labels)


@pytest.mark.parametrize("null", ["shuffle", "shuffle-nonzero", "kde", "kde-nonzero"])
@pytest.mark.parametrize("make", [chain, csr_chain])
def test_every_null_model_is_scored_as_on_the_cpu(machine, null, make):
    assert_scored_as_on_the_cpu(machine, make((40, 30, 20)), null, share=0.9)


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("make", [chain, csr_chain])
def test_planted_modules_are_found(machine, solver, make):
    for backend in (machine, "cpu"):
        assert_planted_modules_found(backend, make, solver)


def test_the_explicit_matrix_and_the_products_iterate_to_the_same(machine):
    graph = random_chain((300, 200, 150), dtype=np.float32)
    by_matrix = ns.eigenpairs(graph, 6, solver="lobpcg", backend=machine)
    matrix_free = emulated_backend(EmulatedLauncher())
    matrix_free.explicit_size = 0
    by_products = ns.eigenpairs(graph, 6, solver="lobpcg", backend=matrix_free)
    names = [{launch.name for launch in b._launcher.launches} for b in (machine, matrix_free)]
    assert "add_scaled" in names[0]
    assert "add_scaled" not in names[1]
    np.testing.assert_allclose(by_matrix.eigenvalues, by_products.eigenvalues, atol=1e-6)


@pytest.mark.parametrize("l2_bytes", [1, 50 << 20], ids=["none fit", "all fit"])
def test_layers_in_the_cache_are_passed_over_twice_in_turn(l2_bytes):
    graph = random_chain((90, 70, 60, 50), dtype=np.float32)
    device = emulated_backend(EmulatedLauncher(l2_bytes=l2_bytes))
    device.explicit_size = 0
    ours, theirs = (ns.eigenpairs(graph, 5, solver="lobpcg", backend=b) for b in (device, "cpu"))
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, atol=1e-6)


def test_a_sequence_is_one_batch(machine):
    graphs = [random_chain(seed=seed) for seed in range(3)]
    together = ns.spectral_clustering(graphs, 3, backend=machine)
    for graph, part in zip(graphs, together, strict=True):
        alone = ns.spectral_clustering(graph, 3, backend=machine)
        np.testing.assert_allclose(part.ncut, alone.ncut, rtol=1e-9)


def test_a_dtype_may_be_asked_for():
    wide = emulated_backend(EmulatedLauncher(), dtype="float64")
    graph = random_chain((40, 30, 20), dtype=np.float32)
    found = ns.eigenpairs(graph, 4, backend=wide)
    assert (found.dtype, found.eigenvectors.dtype) == ("float64", np.float64)
    assert repr(wide) == "CudaBackend(cuda:emulated, 'emulated GPU')"


def test_the_backend_takes_its_array_module_and_launcher():
    stand_in = HostMachine(EmulatedLauncher())
    backend = CudaBackend(machine=stand_in)
    assert backend.xp is stand_in.xp
    assert backend.compile_seconds == stand_in.launcher.compile_seconds


class PoisonedLauncher(EmulatedLauncher):
    """Writes NaN into the explicit matrix of member 1 of 3, and of whoever is solved alone afterwards."""

    def launch(self, kernel, grid, block, arguments, shared=0):
        super().launch(kernel, grid, block, arguments, shared)
        if kernel.name == "add_scaled":
            out = arguments[4]
            out[1 if out.shape[0] == 3 else 0] = np.nan


def test_a_member_that_cannot_be_solved_is_flagged_and_harms_no_other():
    graphs = [random_chain(seed=seed) for seed in range(3)]
    healthy, sick = (
        ns.eigenpairs(graphs, 3, solver="dense", backend=emulated_backend(launcher))
        for launcher in (EmulatedLauncher(), PoisonedLauncher())
    )
    assert [pairs.status for pairs in sick] == ["converged", "not_converged", "converged"]
    for i in (0, 2):
        np.testing.assert_array_equal(sick[i].eigenvalues, healthy[i].eigenvalues)
        np.testing.assert_array_equal(sick[i].eigenvectors, healthy[i].eigenvectors)
