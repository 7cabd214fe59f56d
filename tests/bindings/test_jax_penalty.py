"""The penalty in JAX: its derivative against differences and a dense ``eigh``, its state through steps, bad input."""

from __future__ import annotations

import warnings
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from jax_kernels.x64 import x64
from training.eigen_sums import along, central_difference, dense_spectrum, planted_chain, relative_error

from netspectra.errors import GraphError
from netspectra.training.channel_weights import channel_weights

pytestmark = [pytest.mark.requires("jax"), pytest.mark.usefixtures("narrow")]

N_VALUES, STRENGTH, TOL, STEP = 2, 0.3, 1e-10, 1e-5
USUAL = np.float32(0.05)
"""Strength of what is traced: a Python number would be compiled for once more."""
SKIPS = [(0, 1), (1, 2), (0, 2), (2, 3)]


@pytest.fixture
def narrow():
    with x64(False):
        yield


def mlp():
    return planted_chain((8, 7, 7, 6), 3, 0), None


def skips():
    """A skip of even length: the graph is not bipartite."""
    first, second, third = planted_chain((8, 7, 7, 6), 3, 0)
    return [first, second, planted_chain((8, 7), 3, 1)[0], third], SKIPS


def convolution():
    """Kernels (3, 2, n_in, n_out) whose channels share two modules."""
    rng = np.random.default_rng(0)
    slices = planted_chain((6, 5, 5), 2, 0)
    return [W * rng.uniform(0.5, 1.5, (3, 2, *W.shape)) * rng.choice([-1, 1], (3, 2, *W.shape)) for W in slices], None


NETWORKS = {
    "mlp": (mlp, "l1"),
    "skips": (skips, "l1"),
    "conv l1": (convolution, "l1"),
    "conv l2": (convolution, "l2"),
    "conv operator-1": (convolution, "operator-1"),
}


def by_lapack(weights, edges, norm):
    """The penalty by NumPy, from all eigenvalues of the whole Laplacian; and the gap behind the sum."""
    pairs = edges or list(pairwise(range(len(weights) + 1)))
    blocks = [channel_weights(W, norm, "hwio") if W.ndim > 2 else W for W in weights]
    values = dense_spectrum([(*pair, block) for pair, block in zip(pairs, blocks, strict=True)])
    return STRENGTH / N_VALUES * float(values[1 : N_VALUES + 1].sum()), values[N_VALUES + 1] - values[N_VALUES]


def by_eigh(weights, edges, norm):
    """The same in JAX, to be differentiated through ``eigh`` of the whole Laplacian."""
    import jax.numpy as jnp

    def absolute(w):
        return w * jnp.sign(w)  # |w|, whose derivative at 0 is 0: that of jnp.abs is 1

    def edges_of(W):
        if W.ndim == 2:
            return absolute(W)
        if norm == "l2":
            return jnp.sqrt(jnp.sum(W**2, axis=(0, 1)))
        return jnp.sum(absolute(W), axis=(0, 1)) if norm == "l1" else jnp.max(jnp.sum(absolute(W), axis=0), axis=0)

    blocks = [edges_of(W) for W in weights]
    pairs = edges or list(pairwise(range(len(weights) + 1)))
    sizes = {}
    for (source, target), block in zip(pairs, blocks, strict=True):
        sizes[source], sizes[target] = block.shape
    offsets = np.concatenate([[0], np.cumsum([sizes[i] for i in range(len(sizes))])])
    A = jnp.zeros((offsets[-1], offsets[-1]), blocks[0].dtype)
    for (source, target), block in zip(pairs, blocks, strict=True):
        i, j = (slice(offsets[end], offsets[end + 1]) for end in (source, target))
        A = A.at[i, j].add(block).at[j, i].add(block.T)
    scale = 1 / jnp.sqrt(jnp.sum(A, axis=1))
    values = jnp.linalg.eigvalsh(jnp.eye(len(A)) - scale[:, None] * A * scale)
    return STRENGTH / N_VALUES * jnp.sum(values[1 : N_VALUES + 1])


# -- the derivative ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_the_derivative_is_that_of_differences_and_of_a_dense_eigh(own, name):
    import jax

    build, norm = NETWORKS[name]
    weights, edges = build()
    options = {"n_eigenvalues": N_VALUES, "strength": STRENGTH, "edges": edges, "norm": norm, "tol": TOL}
    with x64():
        run = jax.jit(jax.value_and_grad(partial(own.clusterability_penalty, **options), has_aux=True))
        (value, state), gradients = run(weights)
        through_eigh = [np.asarray(g) for g in jax.jit(jax.grad(lambda W: by_eigh(W, edges, norm)))(weights)]
        assert value.dtype == gradients[0].dtype == state.block.dtype == np.float64
    expected, gap = by_lapack(weights, edges, norm)
    assert gap >= 1e-2
    assert float(state.residual) <= 1e-10
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert [g.shape for g in gradients] == [W.shape for W in weights]
    gradients = [np.asarray(g) for g in gradients]

    def penalty(moved):
        return by_lapack(moved, edges, norm)[0]

    assert relative_error(gradients, through_eigh) <= 1e-9
    assert relative_error(gradients, central_difference(penalty, weights, STEP)) <= 1e-6
    rng = np.random.default_rng(3)
    direction = [rng.standard_normal(W.shape) for W in weights]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    assert slope == pytest.approx(along(penalty, weights, direction, 1e-6), rel=1e-6)


@pytest.fixture(scope="module")
def network():
    """A perceptron in float32, and what a training step asks, compiled once for all tests."""
    import jax

    from netspectra.bindings.jax import clusterability_penalty

    def step(weights, state, strength):
        return jax.value_and_grad(clusterability_penalty, has_aux=True)(weights, state=state, strength=strength)

    weights = [W.astype(np.float32) for W in planted_chain((24, 20, 20, 16), 4, 0)]
    with x64(False):
        yield weights, jax.jit(step)


def penalty_of(weights, n=3, strength=0.05):
    blocks = [(i, i + 1, np.asarray(W, np.float64)) for i, W in enumerate(weights)]
    return strength / n * float(dense_spectrum(blocks)[1 : n + 1].sum())


def test_value_and_state_in_float32(own, network):
    weights, step = network
    (value, state), gradients = step(weights, own.penalty_state(weights), USUAL)
    assert value.shape == state.residual.shape == state.n_iterations.shape == ()
    assert [a.dtype for a in (value, *gradients, state.block, state.eigenvalues)] == [np.float32] * 6
    assert float(value) == pytest.approx(penalty_of(weights), rel=1e-4)
    assert float(value) == pytest.approx(0.05 / 3 * float(np.sum(state.eigenvalues)), rel=1e-6)
    assert not bool(state.diverged)
    assert int(state.n_iterations) > 0
    state.require_sound()


def test_the_strength_may_be_traced(own, network):
    weights, step = network
    state = own.penalty_state(weights)
    (one, _), gradients = step(weights, state, USUAL)
    (twice, _), doubled = step(weights, state, np.float32(0.1))
    (none, _), zeros = step(weights, state, np.float32(0))
    assert float(twice) == pytest.approx(2 * float(one), rel=1e-6)
    assert float(none) == 0
    for a, b, c in zip(gradients, doubled, zeros, strict=True):
        np.testing.assert_allclose(b, 2 * a, rtol=1e-5)
        assert not np.asarray(c).any()


def test_a_warm_start_needs_few_iterations(own, network):
    """As the weights move a little from step to step, the last block is nearly good enough."""
    weights, step = network
    (_, state), _ = step(weights, own.penalty_state(weights), USUAL)
    cold, rng, counts = int(state.n_iterations), np.random.default_rng(0), []
    for _ in range(10):
        weights = [W + np.float32(0.003) * rng.standard_normal(W.shape).astype(np.float32) for W in weights]
        (value, state), _ = step(weights, state, USUAL)
        counts.append(int(state.n_iterations))
        assert float(value) == pytest.approx(penalty_of(weights), rel=1e-3)
    assert max(counts) <= 1 < cold
    assert sum(counts) <= 2


def test_training_by_scan_lowers_the_sum(own, network):
    import jax

    weights, _ = network

    def body(carry, _):
        weights, state = carry
        (value, state), gradients = jax.value_and_grad(own.clusterability_penalty, has_aux=True)(weights, state=state)
        weights = [W - 20 * g for W, g in zip(weights, gradients, strict=True)]
        return (weights, state), (value, state.n_iterations)

    run = jax.jit(lambda weights, state: jax.lax.scan(body, (weights, state), None, length=25))
    (moved, state), (values, n_iterations) = run(weights, own.penalty_state(weights))
    assert values.shape == (25,)
    assert (np.diff(np.asarray(values)) < 0).all()
    assert float(values[-1]) == pytest.approx(penalty_of(moved), rel=0.02)
    assert np.asarray(n_iterations)[1:].max() <= 3
    assert not bool(state.diverged)


def test_the_state_is_not_differentiated(own, network):
    """Neither what goes in nor what comes out carries a derivative."""
    import jax

    weights, _ = network
    state = own.penalty_state(weights)

    def by_state(block, weights):
        return own.clusterability_penalty(weights, state=state._replace(block=block))[0]

    def by_result(weights):
        _, after = own.clusterability_penalty(weights, state=state)
        return sum(jax.numpy.sum(a) for a in (after.block, after.eigenvalues, after.residual))

    by_block, by_after = jax.jit(lambda b, W: (jax.grad(by_state)(b, W), jax.grad(by_result)(W)))(state.block, weights)
    assert not np.asarray(by_block).any()
    assert not any(np.asarray(g).any() for g in by_after)


def test_the_state_is_a_pytree_of_the_same_shapes(own, network):
    import jax

    weights, step = network
    before = own.penalty_state(weights)
    (_, after), _ = step(weights, before, USUAL)
    assert jax.tree.structure(before) == jax.tree.structure(after)
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    assert np.isnan(before.eigenvalues).all()
    assert bool(before.diverged), "nothing has been computed yet"


def test_both_orientations_are_one_network(own, network):
    import jax

    weights, step = network
    (value, _), gradients = step(weights, own.penalty_state(weights), USUAL)
    run = jax.jit(jax.value_and_grad(partial(own.clusterability_penalty, orientation="out-in"), has_aux=True))
    (other, _), turned = run([W.T for W in weights])
    assert float(other) == pytest.approx(float(value), rel=1e-5)
    assert relative_error([np.asarray(g).T for g in turned], gradients) <= 0.05, "either is within its tolerance"


def test_zeros_are_kept_when_asked(own):
    """The penalty gives zeros no derivative; whatever else is in the loss would."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(s).astype(np.float32) * (rng.random(s) < 0.5) for s in ((9, 8), (8, 7))]
    tree = {"hidden": weights[0], "out": weights[1]}

    def task(tree):
        return jnp.sum(jnp.tanh(jnp.ones(9) @ tree["hidden"]) @ tree["out"]) ** 2

    free = jax.grad(task)(tree)
    kept = jax.grad(lambda tree: task(own.keep_zeros(tree)))(tree)
    for name, W in tree.items():
        assert np.asarray(free[name])[W == 0].any()
        assert not np.asarray(kept[name])[W == 0].any()
        np.testing.assert_allclose(np.asarray(kept[name])[W != 0], np.asarray(free[name])[W != 0], rtol=1e-6)
        np.testing.assert_array_equal(own.keep_zeros(tree)[name], W)


def test_pruned_weights_and_dead_units_get_no_gradient(own, network):
    """Same shapes, a third of the weights zero, and a unit without any: its Laplacian row is zero, nothing is NaN."""
    weights, step = network
    rng = np.random.default_rng(1)
    pruned = [W * (rng.random(W.shape) < 0.7) for W in weights]
    pruned[0][:, 5] = pruned[1][5] = 0
    pruned[0][3] = 0
    (value, state), gradients = step(pruned, own.penalty_state(pruned), USUAL)
    assert float(value) == pytest.approx(penalty_of(pruned), rel=1e-3)
    assert not bool(state.diverged)
    for g, W in zip(gradients, pruned, strict=True):
        assert np.isfinite(g).all()
        assert not np.asarray(g)[W == 0].any()
        assert np.asarray(g)[W != 0].any()


# -- a step that diverges ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_diverged_step_inside_jit_is_told_and_leaves_the_state(own, network, value):
    weights, step = network
    (_, good), _ = step(weights, own.penalty_state(weights), USUAL)
    bad = [np.array(W) for W in weights]
    bad[1][2] = value
    (penalty, state), _ = step(bad, good, USUAL)
    assert np.isnan(penalty)
    assert bool(state.diverged)
    np.testing.assert_array_equal(state.block, good.block)
    with pytest.raises(GraphError, match=r"has diverged: eigenvalues \[.*\], residual .*lower the learning rate"):
        state.require_sound()
    (again, recovered), _ = step(weights, state, USUAL)
    assert float(again) == pytest.approx(penalty_of(weights), rel=1e-3)
    assert int(recovered.n_iterations) == 0, "as warm as before"
    recovered.require_sound()


def test_a_diverged_step_outside_jit_raises_once_with_its_values(own, network):
    weights, step = network
    (_, good), _ = step(weights, own.penalty_state(weights), USUAL)
    bad = [np.array(W) for W in weights]
    bad[1][2, 4:6] = np.inf
    told = r"has diverged: weights\[1\]: 2 of 400 values are not finite, first inf at \(2, 4\), the largest finite one"
    with pytest.raises(GraphError, match=told):
        own.clusterability_penalty(bad, state=good)
    (again, _), _ = step(weights, good, USUAL)
    assert float(again) == pytest.approx(penalty_of(weights), rel=1e-3)


def test_a_diverged_step_outside_jit_raises_under_grad_too(own, network):
    """``grad`` traces, yet outside ``jit`` the values are there to be told."""
    import jax

    weights, _ = network
    bad = [np.array(W) for W in weights]
    bad[0][0, 0] = np.nan
    with pytest.raises(GraphError, match=r"weights\[0\]: 1 of 480 values are not finite"):
        jax.value_and_grad(own.clusterability_penalty, has_aux=True)(bad, state=own.penalty_state(weights))


def test_steps_outside_jit_are_compiled_once(own, network, caplog):
    import jax

    weights, _ = network
    _, state = own.clusterability_penalty(weights)
    _, state = own.clusterability_penalty(weights, state=state)
    caplog.clear()
    with jax.log_compiles(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own.clusterability_penalty(weights, state=state)
    assert not [record for record in caplog.records if "Compiling" in record.message]


# -- bad input ---------------------------------------------------------------------------------------------------------


def ones(*shapes):
    return [np.ones(shape, np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("weights", "options", "message"),
    [
        (ones((4, 3), (5, 2)), {}, r"weights\[0\] and weights\[1\] do not fit together at layer 1: 3 units against 5"),
        (ones((4, 3), (3, 2))[::-1], {}, r"do not fit together at layer 1: 2 units against 4 .*check their order"),
        (
            ones((3, 3, 2, 4), (36, 5)),
            {},
            "a flatten stands between a convolution of 4 channels and a dense layer of 36",
        ),
        ([], {}, "weights must hold the weights of at least one layer, got an empty list"),
        (ones((4,)), {}, r"weights\[0\]: expected a dense layer's matrix or a convolution's kernel"),
        (ones((4, 0)), {}, r"weights\[0\]: .* not empty, got \(4, 0\)"),
        (ones((3, 2)), {"n_eigenvalues": 5}, r"n_eigenvalues must be less than the number of nodes \(5\).*got 5"),
        (ones((3, 2)), {"n_eigenvalues": 0}, "n_eigenvalues must be an integer of at least 1, got 0"),
        (ones((3, 2)), {"edges": [(0, 0)]}, r"edges\[0\]: a weight must join two different layers"),
        (ones((3, 2)), {"edges": [(0, 2)]}, "no edge names layer 1"),
        (ones((3, 2)), {"edges": [(0, 1), (1, 2)]}, r"edges must hold one \(source, target\) per weight \(1\), got 2"),
        (ones((3, 2)), {"edges": "chain"}, "edges must be a list of"),
        (ones((3, 2)), {"orientation": "io"}, r"orientation must be one of \['in-out', 'out-in'\], got 'io'"),
        (ones((3, 2)), {"norm": "l3"}, "norm must be one of .*got 'l3'"),
        (ones((3, 2)), {"tol": 0}, "tol must be a number"),
        (ones((3, 2)), {"maxiter": 0}, "maxiter must be an integer of at least 1"),
        (ones((3, 2)), {"seed": -1}, "seed must be an integer"),
    ],
)
def test_bad_input_is_named(own, weights, options, message):
    import jax

    with pytest.raises(GraphError, match=message):
        own.clusterability_penalty(weights, **{"n_eigenvalues": 2, **options})
    with pytest.raises(GraphError, match=message):
        jax.jit(partial(own.clusterability_penalty, **{"n_eigenvalues": 2, **options}))(weights)


def test_the_state_of_another_network_is_refused(own, network):
    weights, step = network
    for other in (own.penalty_state(weights[:2]), own.penalty_state(weights, n_eigenvalues=5)):
        with pytest.raises(GraphError, match=r"state is that of another network or n_eigenvalues: .*pass state=None"):
            own.clusterability_penalty(weights, state=other)
        with pytest.raises(GraphError, match="state is that of another network"):
            step(weights, other, USUAL)


def test_a_network_with_too_few_live_units_is_refused(own):
    weights = ones((4, 3), (3, 2))
    weights[0][1:], weights[1][:] = 0, 0
    with pytest.raises(GraphError, match=r"n_eigenvalues must be less than the number of nodes with any weight \(4\)"):
        own.clusterability_penalty(weights, n_eigenvalues=4)


def test_float64_weights_are_taken_in_float32_without_x64(own, network):
    """Without a warning: JAX has no others."""
    weights, step = network
    wide = [W.astype(np.float64) for W in weights]
    (value, state), gradients = step(wide, own.penalty_state(wide), USUAL)
    assert (value.dtype, state.block.dtype, gradients[0].dtype) == (np.float32,) * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": np.ones(3)}, "strength must be a finite number or an array without axes"),
        ({"strength": float("nan")}, "strength must be a finite number"),
        ({"strength": "a"}, "strength must be a finite number"),
        ({"state": 3}, "state must be what the last call"),
        ({"weights": {"kernel": np.ones((4, 4))}}, "weights must be a list of arrays, .*'kernel'"),
        ({"weights": [np.ones((9, 9), complex)]}, r"weights\[0\]: expected real"),
    ],
)
def test_arguments_of_another_kind_are_named(own, options, message):
    with pytest.raises(GraphError, match=message):
        own.clusterability_penalty(**({"weights": ones((9, 9), (9, 9))} | options))


def test_there_is_no_second_derivative(own, network):
    import jax

    weights, _ = network
    with pytest.raises(RuntimeError, match="first derivatives only"):
        jax.hessian(lambda w: own.clusterability_penalty([w, *weights[1:]])[0])(weights[0])
