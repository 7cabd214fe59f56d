"""Clusterable initialisation: which modules, which factors, and that they multiply what they should."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netspectra.errors import GraphError
from netspectra.training.initialisation import clusterable_init, module_factors, module_labels

# -- modules -----------------------------------------------------------------------------------------------------------


def test_labels_are_a_function_of_the_seed() -> None:
    one, two, other = (module_labels([50, 40, 10], seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(one[:-1], two[:-1], other[:-1], strict=True):
        np.testing.assert_array_equal(a, b)
        assert np.any(a != c)
    assert all(labels.dtype == np.int32 for labels in one)


def test_a_layer_draws_for_itself() -> None:
    few, many = module_labels([50, 40, 10], seed=3), module_labels([50, 40, 30, 10], seed=3)
    np.testing.assert_array_equal(few[0], many[0])
    np.testing.assert_array_equal(few[1], many[1])
    assert np.any(few[1] != few[0][:40])


def test_outputs_take_turns() -> None:
    assert module_labels([5, 10])[-1].tolist() == list(range(10))
    assert module_labels([5, 7], n_modules=3)[-1].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert module_labels([5, 2], n_modules=3)[-1].tolist() == [0, 1]


def test_modules_are_uniform() -> None:
    (labels, _) = module_labels([100_000, 1], n_modules=10, seed=11)
    counts = np.bincount(labels, minlength=10)
    chi_square = np.sum((counts - 10_000.0) ** 2) / 10_000
    assert chi_square < 21.7  # 9 degrees of freedom: passed by 99 draws of 100, and by this seed's


# -- factors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "inside"), [(0.6, 4.6), (0.8, 2.8), (1.0, 1.0)])
def test_published_factors(beta: float, inside: float) -> None:
    factors = module_factors([0, 1, 9], [1, 1, 0, 5], n_modules=10, beta=beta)
    expected = np.full((3, 4), beta)
    expected[0, 2] = expected[1, 0] = expected[1, 1] = inside
    np.testing.assert_allclose(factors, expected, rtol=1e-15)


@given(st.integers(1, 30), st.floats(0.01, 1))
def test_mean_factor_is_one(n_modules: int, beta: float) -> None:
    every = np.arange(n_modules)
    factors = module_factors(every, every, n_modules, beta)
    np.testing.assert_allclose(factors.mean(axis=0), 1, rtol=1e-12)


def test_mean_factor_of_drawn_modules() -> None:
    source, target = module_labels([2000, 2000, 10], seed=1)[:2]
    factors = module_factors(source, target)
    inside = source[:, None] == target[None, :]
    assert abs(factors.mean() - 1) < 0.01  # sd of the share inside: about 5e-4, times 4
    assert abs(inside.mean() - 0.1) < 0.0025
    assert factors[inside].min() / factors[~inside].max() == pytest.approx(4.6 / 0.6)


# -- networks ----------------------------------------------------------------------------------------------------------


def chain(orientation: str, shapes: list[tuple[int, ...]], seed: int = 0) -> list[np.ndarray]:
    """Return weights of out-in shapes in an orientation; dense after convolution is left in its own flatten order."""
    rng = np.random.default_rng(seed)
    weights = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    return weights if orientation == "out-in" else [np.moveaxis(w, (0, 1), (-1, -2)) for w in weights]


CNN = [(5, 2, 3, 3), (4, 5, 3, 3), (6, 4 * 7), (3, 6)]  # 7 positions


@pytest.mark.parametrize("orientation", ["in-out", "out-in"])
def test_every_weight_gets_the_factor_of_its_units(orientation: str) -> None:
    weights = chain(orientation, CNN)
    scaled, labels = clusterable_init(weights, n_modules=3, beta=0.5, seed=2, orientation=orientation)
    assert [len(units) for units in labels] == [2, 5, 4, 6, 3]
    for i, (before, after) in enumerate(zip(weights, scaled, strict=True)):
        assert after.dtype == np.float32
        ratio = after / before
        by_unit = ratio if orientation == "out-in" else np.moveaxis(ratio, (-1, -2), (0, 1))
        for o, n in np.ndindex(*by_unit.shape[:2]):
            channel = n if i != 2 else (n // 7 if orientation == "out-in" else n % 4)
            expected = 2.0 if labels[i + 1][o] == labels[i][channel] else 0.5
            np.testing.assert_allclose(by_unit[o, n], expected, rtol=1e-6)


def test_beta_by_kind_of_network() -> None:
    dense = clusterable_init([np.ones((9, 8)), np.ones((8, 10))])[0]
    assert {round(float(w), 12) for w in np.unique(np.concatenate([d.ravel() for d in dense]))} == {0.6, 4.6}
    conv = clusterable_init([np.ones((3, 3, 9, 8)), np.ones((8, 10))])[0]
    assert {round(float(w), 12) for w in np.unique(np.concatenate([d.ravel() for d in conv]))} == {0.8, 2.8}


def test_first_layer_may_stay_as_it_is() -> None:
    weights = chain("in-out", [(6, 8), (5, 6)])
    every, labels = clusterable_init(weights, seed=1)
    later, same = clusterable_init(weights, seed=1, first_layer=False)
    np.testing.assert_array_equal(later[0], weights[0])
    np.testing.assert_array_equal(later[1], every[1])
    assert np.any(every[0] != weights[0])
    for a, b in zip(labels, same, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_standard_alone_is_enough() -> None:
    import array_api_strict as strict

    weights = chain("out-in", CNN)
    expected, _ = clusterable_init(weights, seed=2, orientation="out-in")
    scaled, _ = clusterable_init([strict.asarray(w) for w in weights], seed=2, orientation="out-in")
    for a, b in zip(expected, scaled, strict=True):
        np.testing.assert_array_equal(a, np.from_dlpack(b))


# -- bad input ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: module_labels([5]), r"sizes must list the units of at least two layers, inputs first, got \[5\]"),
        (lambda: module_labels(5), r"sizes must list the units"),
        (lambda: module_labels([5, 0]), r"sizes\[1\] must be an integer of at least 1, got 0"),
        (lambda: module_labels([5, 2.5]), r"sizes\[1\] must be an integer of at least 1, got 2.5"),
        (lambda: module_labels([5, 2], n_modules=0), r"n_modules must be an integer of at least 1, got 0"),
        (lambda: module_labels([5, 2], seed=-1), r"seed must be an integer in \[0, 2\*\*64\) or None, got -1"),
        (lambda: module_factors([0], [0], 10, 0), r"beta must be a number in \(0, 1\] \(1 changes nothing\), got 0"),
        (lambda: module_factors([0], [0], 10, 1.5), r"beta must be a number in \(0, 1\].*got 1.5"),
        (lambda: module_factors([0], [0], 10, float("nan")), r"beta must be a number in \(0, 1\].*got nan"),
        (lambda: module_factors([0], [0], 10, "half"), r"beta must be a number in \(0, 1\].*got 'half'"),
        (
            lambda: module_factors([0, 10], [0]),
            r"source_labels must be modules in \[0, 10\), got 0 to 10; see module_l",
        ),
        (
            lambda: module_factors([0], [[0]]),
            r"target_labels must be one integer per unit, got shape \(1, 1\) of int64",
        ),
        (
            lambda: module_factors([0.5], [0]),
            r"source_labels must be one integer per unit, got shape \(1,\) of float64",
        ),
        (lambda: clusterable_init([]), r"weights must hold the weights of at least one layer, got an empty list"),
        (lambda: clusterable_init(np.ones((2, 2))), r"weights must be a list of arrays, one per layer.*got ndarray"),
        (lambda: clusterable_init([np.ones(3)]), r"weights\[0\]: expected a dense layer's matrix.*got shape \(3,\)"),
        (lambda: clusterable_init([np.ones((3, 2))], orientation="io"), r"orientation must be one of"),
    ],
)
def test_messages(call: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        call()


def test_weights_that_do_not_chain() -> None:
    weights = chain("in-out", [(6, 8), (5, 6)])
    with pytest.raises(GraphError, match=r"as 'out-in': 8 units against 5 inputs.*the other way: orientation 'in-out'"):
        clusterable_init(weights, orientation="out-in")
    with pytest.raises(GraphError, match=r"weights\[1\] and weights\[2\] do not chain.*a skip is no chain"):
        clusterable_init([*weights, np.ones((7, 3))])
    with pytest.raises(GraphError, match=r"do not chain as 'in-out': 6 units against 12 inputs"):
        clusterable_init([weights[0], np.ones((12, 3))])  # a multiple, but nothing was flattened
