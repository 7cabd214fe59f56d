"""The penalty and its gradient by weights: MLP, convolution and skip graphs in both orientations, and bad input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from training.eigen_sums import along, central_difference, dense_spectrum, planted_chain, relative_error

from netspectra import get_backend
from netspectra.errors import GraphError
from netspectra.training import penalty as module
from netspectra.training.channel_weights import channel_weights
from netspectra.training.penalty import (
    cold_shape,
    cold_start,
    evaluate,
    penalty_and_gradients,
    penalty_batch,
    penalty_gradients,
    penalty_problem,
    require_sound,
)

STRENGTH, TOL, STEP = 0.3, 1e-10, 1e-5


def oriented(weights, orientation):
    """From (n_in, n_out, *spatial) to how a framework stores it."""
    if orientation == "out-in":
        return [np.ascontiguousarray(np.swapaxes(W, 0, 1)) for W in weights]
    return [np.ascontiguousarray(np.moveaxis(W, (0, 1), (-2, -1))) for W in weights]


def kernels(sizes, k, seed, spatial=(3, 2)):
    """Kernels (n_in, n_out, *spatial) whose channels share k modules."""
    rng = np.random.default_rng(seed)
    slices = planted_chain(sizes, k, seed)
    found = []
    for W in slices:
        shape = (*W.shape, *spatial)
        found.append(W[:, :, None, None] * rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape))
    return found


SKIPS = [(0, 1), (1, 2), (0, 2), (2, 3)]


def mlp():
    return planted_chain((8, 7, 7, 6), 3, 0), None


def skips():
    """An even-length skip: the graph is not bipartite."""
    first, second, third = planted_chain((8, 7, 7, 6), 3, 0)
    return [first, second, planted_chain((8, 7), 3, 1)[0], third], SKIPS


def convolution():
    return kernels((6, 5, 5), 2, 0), None


DENSE = {"mlp": (mlp, "l1"), "skips": (skips, "l1")}
CONVOLUTIONS = {f"conv-{norm}": (convolution, norm) for norm in ("l1", "l2", "operator-1")}
NETWORKS = DENSE | CONVOLUTIONS
# The emulated device's arrays are NumPy's to whoever asks for their library, which is how a kernel's norm is taken.
KERNEL_BACKENDS = ["reference", "cpu"]


def network(name, orientation):
    """Weights, problem, and the penalty as a function of NumPy weights by dense LAPACK."""
    build, norm = NETWORKS[name]
    weights, edges = build()
    weights = oriented(weights, orientation)
    problem = penalty_problem(
        [W.shape for W in weights], n_eigenvalues=2, strength=STRENGTH, edges=edges, orientation=orientation, norm=norm,
        tol=TOL,
    )  # fmt: skip
    pairs = edges or list(pairwise(range(len(weights) + 1)))

    def spectrum(moved):
        layout = "oihw" if orientation == "out-in" else "hwio"
        blocks = [
            channel_weights(W, norm, layout) if W.ndim > 2 else W.T if orientation == "out-in" else W for W in moved
        ]
        return dense_spectrum([(*pair, block) for pair, block in zip(pairs, blocks, strict=True)])

    return weights, problem, spectrum


def solved(machine, problem, weights):
    arrays = [machine.asarray(W) for W in weights]
    start = cold_start(machine, problem, getattr(machine.xp, str(weights[0].dtype)))
    found, gradients = penalty_and_gradients(machine, problem, arrays, start)
    return found, [machine.to_numpy(g) for g in gradients]


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
@pytest.mark.parametrize("name", DENSE)
def test_gradient_is_the_central_difference(backend, name, orientation):
    check_differences(backend, name, orientation)


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("machine", KERNEL_BACKENDS)
def test_gradient_by_kernels_is_the_central_difference(machine, name, orientation):
    check_differences(get_backend(machine), name, orientation)


def check_differences(backend, name, orientation):
    weights, problem, spectrum = network(name, orientation)
    values = spectrum(weights)
    assert values[3] - values[2] >= 1e-2, "the gap behind the sum"
    found, gradients = solved(backend, problem, weights)
    assert float(found.residual) <= 1e-10
    assert float(found.value) == pytest.approx(STRENGTH / 2 * values[1:3].sum(), rel=1e-12)
    np.testing.assert_allclose(backend.to_numpy(found.eigenvalues), values[1:3], atol=1e-12)

    def penalty(moved):
        return float(STRENGTH / 2 * spectrum(moved)[1:3].sum())

    assert [g.shape for g in gradients] == [W.shape for W in weights]
    assert relative_error(gradients, central_difference(penalty, weights, STEP)) <= 1e-6
    rng = np.random.default_rng(3)
    direction = [rng.standard_normal(W.shape) for W in weights]
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    assert slope == pytest.approx(along(penalty, weights, direction, STEP), rel=1e-5)


@pytest.mark.parametrize("name", DENSE)
def test_float32_follows_float64(backend, name):
    check_float32(backend, name)


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("machine", KERNEL_BACKENDS)
def test_float32_kernels_follow_float64(machine, name):
    check_float32(get_backend(machine), name)


def check_float32(backend, name):
    weights, problem, _ = network(name, "out-in")
    problem32 = penalty_problem(
        problem.shapes, n_eigenvalues=2, strength=STRENGTH, edges=SKIPS if name == "skips" else None,
        orientation="out-in", norm=problem.norm, tol=1e-5,
    )  # fmt: skip
    _, wide = solved(backend, problem, weights)
    found, narrow = solved(backend, problem32, [W.astype(np.float32) for W in weights])
    assert all(g.dtype == np.float32 for g in narrow)
    assert str(found.value.dtype).endswith("float32")
    assert relative_error(narrow, wide) <= 1e-4


def test_a_descent_along_the_gradient_separates_the_modules(backend):
    """Twenty steps of plain descent, warm started: the penalty falls at each, with at most few iterations."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(shape) for shape in ((24, 20), (20, 18))]
    problem = penalty_problem([W.shape for W in weights], n_eigenvalues=2, strength=1.0, tol=1e-6)
    block, values = cold_start(backend, problem, backend.xp.float64), []
    for _ in range(20):
        found, gradients = penalty_and_gradients(backend, problem, [backend.asarray(W) for W in weights], block)
        block = found.block
        values.append(float(found.value))
        weights = [W - 5.0 * backend.to_numpy(g) for W, g in zip(weights, gradients, strict=True)]
    assert np.all(np.diff(values) < 0)
    assert values[-1] < values[0] - 0.05


def test_chosen_weights_and_a_cotangent(backend):
    weights, problem, _ = network("skips", "out-in")
    arrays = [backend.asarray(W) for W in weights]
    batch = penalty_batch(backend, problem, arrays)
    found = evaluate(problem, batch, cold_start(backend, problem, backend.xp.float64))
    every = penalty_gradients(problem, batch, arrays, found.factors)
    some = penalty_gradients(problem, batch, arrays, found.factors, -2.0, [3, 1])
    for gradient, number in zip(some, (3, 1), strict=True):
        np.testing.assert_allclose(backend.to_numpy(gradient), -2 * backend.to_numpy(every[number]), rtol=1e-14)


def test_zero_weights_and_dead_units_get_no_gradient(backend):
    weights, problem, spectrum = network("mlp", "in-out")
    weights[0][:, 2], weights[1][2, :], weights[1][4, 1] = 0, 0, 0  # unit 2 of layer 1 has no weight at all
    found, gradients = solved(backend, problem, weights)
    np.testing.assert_allclose(backend.to_numpy(found.eigenvalues), spectrum(weights)[1:3], atol=1e-12)
    for W, g in zip(weights, gradients, strict=True):
        assert not g[W == 0].any()
        assert g[W != 0].all()


def test_a_problem_is_a_constant_that_hashes():
    shapes = [(8, 7), (7, 6)]
    assert hash(penalty_problem(shapes)) == hash(penalty_problem([list(s) for s in shapes]))
    assert penalty_problem(shapes) != penalty_problem(shapes, strength=0.1)
    assert penalty_problem([(30, 20), (20, 6)]).factor == pytest.approx(0.05 / 3)


def test_the_reduction_is_used_where_the_graph_is_bipartite_and_wide():
    assert cold_shape(penalty_problem([(30, 20), (20, 9)])) == (1, 20, 4)
    assert cold_shape(penalty_problem([(30, 20), (20, 9), (30, 9)], edges=[(0, 1), (1, 2), (0, 2)])) == (1, 59, 4)
    assert cold_shape(penalty_problem([(3, 2)], n_eigenvalues=1)) == (1, 5, 4)


# -- bad input ---------------------------------------------------------------------------------------------------------

BAD_SHAPES = {
    "empty": ([], {}, "at least one layer"),
    "vector": ([(8, 7), (7,)], {}, r"weights\[1\]: expected a dense"),
    "no rows": ([(8, 0)], {}, "not empty"),
    "no chain": ([(8, 7), (8, 7)], {}, r"weights\[0\] and weights\[1\] do not fit together at layer 1: 7 units .* 8"),
    "other way": ([(7, 8), (6, 7)], {}, "the other one is 'out-in'"),
    "flatten": ([(3, 3, 4, 8), (8 * 25, 10)], {}, "flatten .* leave the dense"),
    "edges short": ([(8, 7), (7, 6)], {"edges": [(0, 1)]}, r"one \(source, target\) per weight \(2\), got 1"),
    "edges odd": ([(8, 7)], {"edges": [(0, 1, 2)]}, "edges must be a list"),
    "edges text": ([(8, 7)], {"edges": "01"}, "edges must be a list"),
    "edges flat": ([(8, 7)], {"edges": [0, 1]}, "edges must be a list"),
    "edges negative": ([(8, 7)], {"edges": [(0, -1)]}, "edges must be a list"),
    "edges gap": ([(8, 7)], {"edges": [(0, 2)]}, "no edge names layer 1"),
    "edges loop": ([(8, 8)], {"edges": [(0, 0)]}, "two different layers"),
    "edges misfit": ([(8, 7), (7, 6), (8, 7)], {"edges": [(0, 1), (1, 2), (0, 2)]}, "at layer 2: 6 units against 7"),
    "too many": ([(2, 3)], {"n_eigenvalues": 5}, r"less than the number of nodes \(5\)"),
    "none": ([(8, 7)], {"n_eigenvalues": 0}, "n_eigenvalues must be an integer of at least 1"),
    "strength": ([(8, 7)], {"strength": float("nan")}, "strength must be a finite number"),
    "norm": ([(8, 7)], {"norm": "l3"}, "norm must be one of"),
    "orientation": ([(8, 7)], {"orientation": "in"}, "orientation must be one of"),
    "tol": ([(8, 7)], {"tol": 0.0}, "tol must be a number"),
    "maxiter": ([(8, 7)], {"maxiter": 0}, "maxiter must be an integer"),
    "seed": ([(8, 7)], {"seed": -1}, "seed must be an integer"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_bad_shapes_and_options_say_what_to_do(name):
    shapes, options, message = BAD_SHAPES[name]
    with pytest.raises(GraphError, match=message):
        penalty_problem(shapes, **options)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_diverged_step_is_told_with_its_values(backend, value):
    weights, problem, _ = network("mlp", "in-out")
    weights[1][2, 3] = value
    arrays = [backend.asarray(W) for W in weights]
    with pytest.raises(GraphError, match=r"diverged: weights\[1\]: 1 of 49 values .* at \(2, 3\), the largest finite"):
        require_sound(problem, penalty_batch(backend, problem, arrays), arrays)


def test_too_few_live_nodes_are_told(backend):
    weights = [np.zeros((6, 5)), np.zeros((5, 4))]
    weights[0][0, 0] = 1.0
    problem = penalty_problem([W.shape for W in weights], n_eigenvalues=2)
    arrays = [backend.asarray(W) for W in weights]
    with pytest.raises(GraphError, match=r"nodes with any weight \(2\)"):
        require_sound(problem, penalty_batch(backend, problem, arrays), arrays)


def test_sums_that_overflow_are_told(backend):
    weights = [np.full((3, 3), 1e308), np.ones((3, 3))]
    problem = penalty_problem([W.shape for W in weights], n_eigenvalues=2)
    arrays = [backend.asarray(W) for W in weights]
    with np.errstate(over="ignore"), pytest.raises(GraphError, match="do not add up to a finite number"):
        require_sound(problem, penalty_batch(backend, problem, arrays), arrays)


def test_the_default_tolerance_is_the_documented_one():
    assert penalty_problem([(8, 7)]).tol == module.DEFAULT_TOL == 5e-3
