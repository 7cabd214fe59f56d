"""Eigenpairs on JAX: analytic spectra, hard graphs, batches; compiled once per shape, without the host in between."""

from __future__ import annotations

import numpy as np
import pytest
from jax_kernels.jax_problems import CHAINS, SIZES, SKIPS, K, chain_of, problem
from jax_kernels.x64 import x64
from problems import chain
from spectrum.acceptance import all_eigenvalues, assert_accepted, sine_of_angle

import netspectra as ns

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

F32, TOL = np.dtype("float32"), 1e-5


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
@pytest.mark.parametrize("name", [*CHAINS, "skips"])
def test_eigenpairs_are_those_of_mathematics_and_of_the_cpu(on_jax, name, solver):
    p = SKIPS if name == "skips" else CHAINS[name]
    graph = p.graph(F32)
    ours, theirs = (ns.eigenpairs(graph, p.k, solver=solver, backend=b) for b in (on_jax, "cpu"))
    assert (ours.backend, ours.dtype, ours.solver) == ("jax", "float32", solver)
    assert_accepted(ours, graph, all_eigenvalues(p, graph))
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, rtol=0, atol=10 * TOL)
    assert (ours.status == "converged") == (theirs.status in ("converged", "escalated_float64"))
    assert ours.unique == theirs.unique
    if theirs.gap > 1000 * TOL:
        assert sine_of_angle(ours.eigenvectors, theirs.eigenvectors) <= 4 * TOL / theirs.gap


@pytest.mark.parametrize(("name", "solver"), [("narrow-middle", "lobpcg"), ("star", "dense"), ("lateral", "dense")])
def test_graphs_of_other_shapes(on_jax, name, solver):
    """More pairs than the smaller side has nodes, which null spaces complete; blocks from a layer to itself."""
    p = problem(name)
    graph = p.graph(F32)
    assert_accepted(ns.eigenpairs(graph, p.k, solver=solver, backend=on_jax), graph, all_eigenvalues(p, graph))


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_a_batch_is_its_members(on_jax, solver):
    """Of four graphs in one batch each has its own verdict; the second has to be solved without squaring."""
    names = ["modules", "hardly-any-modules", "random", "isolated-nodes"]
    graphs = [CHAINS[name].graph(F32) for name in names]
    together = ns.eigenpairs(graphs, K, solver=solver, backend=on_jax)
    assert len(together) == len(names)
    if solver == "lobpcg":
        assert [p.status for p in together] == ["converged", "escalated_dense", "converged", "converged"]
    for name, graph, pairs in zip(names, graphs, together, strict=True):
        assert_accepted(pairs, graph, all_eigenvalues(CHAINS[name], graph))


@pytest.mark.parametrize("solver", ["dense", "lobpcg"])
def test_float64_with_x64(on_jax, solver):
    graph = CHAINS["random"].graph("float64")
    with x64():
        ours = ns.eigenpairs(graph, K, solver=solver, tol=1e-10, backend=on_jax)
    theirs = ns.eigenpairs(graph, K, solver="dense", backend="cpu")
    assert (ours.dtype, ours.eigenvectors.dtype, ours.status) == ("float64", np.float64, "converged")
    np.testing.assert_allclose(ours.eigenvalues, theirs.eigenvalues, rtol=0, atol=1e-9)
    assert ours.residual_norms.max() <= 2e-10
    assert sine_of_angle(ours.eigenvectors, theirs.eigenvectors) <= 1e-7


def test_a_member_with_nan_is_flagged_and_harms_no_other(on_jax):
    """Weights are views: what became of one graph after it was made is not another's fault."""
    from dataclasses import replace

    from netspectra.graph.batch import load_batch
    from netspectra.kernels.weights import DenseWeights
    from netspectra.spectrum.plan import plan_solver
    from netspectra.spectrum.solve import solve

    names = ["modules", "random", "pruned", "modules"]
    graphs = [CHAINS[name].graph(F32) for name in names]
    batch = load_batch(graphs, on_jax)
    spoilt = DenseWeights(batch.weights[1].values.at[1, 2, 3].set(np.nan))
    batch = replace(batch, weights=(batch.weights[0], spoilt, batch.weights[2]))
    plan = plan_solver(batch, K, "lobpcg", None, None, 0)
    found = solve(batch, K, plan, [None] * 4)
    assert found.status[1] not in ("converged", "escalated_dense")
    for i in (0, 2, 3):
        spectrum = all_eigenvalues(CHAINS[names[i]], graphs[i])
        np.testing.assert_allclose(on_jax.to_numpy(found.eigenvalues)[i], spectrum[:K], rtol=0, atol=2 * TOL)


def test_it_is_compiled_once_for_all_weights_of_a_shape(on_jax):
    def solved(seed):
        graph = chain_of(lambda rng, shape: rng.standard_normal(shape), seed=seed)
        return [ns.eigenpairs(graph, K, solver=solver, backend=on_jax) for solver in ("dense", "lobpcg")]

    first, before, seconds = solved(1), on_jax.n_compiled, on_jax.compile_seconds
    second = solved(2)
    assert (on_jax.n_compiled, on_jax.compile_seconds) == (before, seconds)
    assert second[1].timings["compile"] == seconds
    assert (first[0].eigenvalues[1:] != second[0].eigenvalues[1:]).all()


def test_another_seed_needs_no_compilation(on_jax):
    graph = CHAINS["random"].graph(F32)
    ns.eigenpairs(graph, K, solver="dense", seed=0, backend=on_jax)
    before = on_jax.n_compiled
    ns.eigenpairs(graph, K, solver="dense", seed=1, backend=on_jax)
    assert on_jax.n_compiled == before


def test_32_and_64_bits_are_compiled_apart(on_jax):
    """The same backend, called with x64 and without: each gets its own program."""
    graph = CHAINS["pruned"].graph(F32)
    alone = ns.eigenpairs(graph, K, solver="dense", backend=on_jax)
    with x64():
        wide = ns.eigenpairs(graph, K, solver="dense", backend=on_jax)
    again = ns.eigenpairs(graph, K, solver="dense", backend=on_jax)
    np.testing.assert_array_equal(alone.eigenvalues, again.eigenvalues)
    assert wide.dtype == "float32", "the graph's own, x64 or not"
    np.testing.assert_allclose(wide.eigenvalues, alone.eigenvalues, rtol=0, atol=1e-6)


def test_nothing_global_changes(on_jax):
    import jax

    before = dict(jax.config.values)
    ns.spectral_clustering(CHAINS["modules"].graph(F32), 3, n_init=2, backend=on_jax)
    ns.eigenpairs(CHAINS["modules"].graph(F32), K, backend=on_jax)
    assert dict(jax.config.values) == before
    assert jax.config.jax_default_device is None


def lobpcg_of(on_jax, graph):
    """The function and arguments of an iteration, its inputs on the device."""
    from netspectra.graph.batch import load_batch
    from netspectra.kernels.keys import stream_keys
    from netspectra.spectrum import attempts
    from netspectra.spectrum.plan import block_width, plan_solver

    batch = load_batch([graph], on_jax)
    plan = plan_solver(batch, K, "lobpcg", None, None, 0)
    size = batch.structure.reduced_size
    start = on_jax.standard_normals(stream_keys(0, "start-block", [None]), (size, block_width(K, size)), plan.dtype)
    return attempts._lobpcg_outcome, (batch, True, K, plan, start, False)


def test_an_iteration_stays_on_the_device(on_jax):
    """Iterations, residuals and verdicts are one program that asks the host for nothing."""
    import jax

    function, arguments = lobpcg_of(on_jax, CHAINS["random"].graph(F32))
    on_jax.run(function, *arguments)
    before = on_jax.n_compiled
    with jax.transfer_guard("disallow_explicit"):
        with pytest.raises(RuntimeError, match="Disallowed host-to-device transfer"):
            on_jax.asarray(np.ones(3, np.float32))
        outcome = on_jax.run(function, *arguments)
        jax.block_until_ready(outcome.solution.eigenvalues)
    assert on_jax.n_compiled == before
    assert int(outcome.solution.n_iterations[0]) > 3
    assert bool(outcome.settled[0])


def test_an_iteration_is_one_while_loop_without_callbacks(on_jax):
    import jax

    from netspectra.kernels.jax.trees import hold

    function, arguments = lobpcg_of(on_jax, CHAINS["random"].graph(F32))
    traced = jax.make_jaxpr(lambda held: hold(function(*held.value())))(hold(arguments))
    names = [equation.primitive.name for equation in traced.jaxpr.eqns]
    assert names.count("while") == 1
    assert "callback" not in str(traced)


def test_out_of_memory_is_a_limit_error(on_jax):
    from netspectra.errors import LimitError

    with (
        pytest.raises(LimitError, match=r"cpu ran out of memory .*RESOURCE_EXHAUSTED.*take fewer clusters"),
        on_jax.session(),
    ):
        raise RuntimeError("RESOURCE_EXHAUSTED: out of memory allocating 1e12 bytes")
    with pytest.raises(RuntimeError, match="something else"), on_jax.session():
        raise RuntimeError("something else")


def test_problems_share_their_shape():
    """What keeps these tests fast."""
    assert {tuple(layer.size for layer in p.graph(F32).layers) for p in CHAINS.values()} == {SIZES}
    assert chain(F32, [np.ones((18, 18))] * 3).n_nodes == sum(SIZES)
