"""The ReLU-preserving rescaling: the function stays, hidden norms become sqrt(2), the last layer only compensates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate

from netspectra.errors import GraphError
from netspectra.training.rescaling import rescale_relu

ORIENTATIONS = ("in-out", "out-in")


def relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


def own_orientation(weight: np.ndarray, orientation: str) -> np.ndarray:
    """Weights of out-in shape in an orientation, and back."""
    return weight if orientation == "out-in" else np.moveaxis(weight, (0, 1), (-1, -2))


def as_out_in(weight: np.ndarray, orientation: str) -> np.ndarray:
    return weight if orientation == "out-in" else np.moveaxis(weight, (-1, -2), (0, 1))


def network(weights: list[np.ndarray], biases: list[Any], orientation: str, x: np.ndarray) -> np.ndarray:
    """Outputs of a ReLU network of convolutions ("valid") and dense layers for one input, (C, H, W) or (n,)."""
    for i, (given, bias) in enumerate(zip(weights, biases, strict=True)):
        weight = as_out_in(given, orientation)
        shift = np.zeros(weight.shape[0]) if bias is None else bias
        if weight.ndim == 2:
            if x.ndim > 1:  # channel-major of (C, H, W), or channel-minor of (H, W, C)
                x = x.ravel() if orientation == "out-in" else np.moveaxis(x, 0, -1).ravel()
            x = weight @ x + shift
        else:
            x = np.stack([correlate(x, kernel, "valid")[0] for kernel in weight]) + shift[:, None, None]
        x = relu(x) if i < len(weights) - 1 else x
    return x


def incoming_norms(weight: np.ndarray, bias: Any, orientation: str) -> np.ndarray:
    rows = as_out_in(weight, orientation).reshape(as_out_in(weight, orientation).shape[0], -1)
    return np.linalg.norm(rows if bias is None else np.column_stack([rows, bias]), axis=1)


NETWORKS = {
    "mlp": ([(6, 9), (5, 6), (4, 5), (3, 4)], (9,)),
    "cnn": ([(4, 2, 3, 3), (5, 4, 2, 2), (6, 5 * 6), (3, 6)], (2, 6, 5)),  # flattened from 5 channels of 3 x 2
}


def parameters(name: str, orientation: str) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    shapes, input_shape = NETWORKS[name]
    rng = np.random.default_rng(7)
    weights = [own_orientation(rng.standard_normal(shape), orientation) for shape in shapes]
    return weights, [rng.standard_normal(shape[0]) for shape in shapes], rng.standard_normal(input_shape)


@pytest.mark.parametrize("with_biases", [True, False])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("name", NETWORKS)
def test_same_function_and_hidden_norms(name: str, orientation: str, with_biases: bool) -> None:
    weights, biases, x = parameters(name, orientation)
    given = biases if with_biases else None
    new, shifts = rescale_relu(weights, given, orientation)
    before, after = biases if with_biases else [None] * 4, shifts if with_biases else [None] * 4
    assert after is not None
    expected = network(weights, before, orientation, x)
    np.testing.assert_allclose(network(new, after, orientation, x), expected, rtol=1e-12, atol=1e-12)
    assert np.abs(expected).min() > 1e-3  # nothing died on the way
    for weight, bias in zip(new[:-1], after[:-1], strict=True):
        np.testing.assert_allclose(incoming_norms(weight, bias, orientation), np.sqrt(2), rtol=1e-14)
    assert any(np.any(a != b) for a, b in zip(weights, new, strict=True))
    assert shifts is None or shifts[-1] is biases[-1]


def test_norm_is_over_weights_and_bias_together() -> None:
    new, shifts = rescale_relu([np.array([[3.0]]), np.array([[1.0]])], [np.array([4.0]), None])
    assert shifts is not None
    np.testing.assert_allclose(
        [new[0].item(), shifts[0].item(), new[1].item()], [3 / 5 * 2**0.5, 4 / 5 * 2**0.5, 5 / 2**0.5], rtol=1e-15
    )
    assert shifts[1] is None


def test_a_second_time_changes_nothing() -> None:
    weights, biases, _ = parameters("cnn", "out-in")
    once = rescale_relu(weights, biases, "out-in")
    twice = rescale_relu(*once, "out-in")
    for a, b in zip(once[0], twice[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_units_without_incoming_weights_are_left_alone() -> None:
    weights, biases, _ = parameters("mlp", "in-out")
    weights[0][:, 2] = 0  # unit 2 of the first hidden layer, with a bias
    weights[1][:, 3] = 0  # unit 3 of the second, without
    biases[1][3] = 0
    new, shifts = rescale_relu(weights, biases)
    assert shifts is not None
    assert np.all(new[0][:, 2] == 0)
    assert shifts[0][2] == biases[0][2]
    assert np.all(new[1][:, 3] == 0)
    assert shifts[1][3] == 0
    np.testing.assert_allclose(incoming_norms(new[0], shifts[0], "in-out")[[0, 1, 3, 4, 5]], np.sqrt(2), rtol=1e-14)
    x = np.random.default_rng(8).standard_normal(9)
    np.testing.assert_allclose(
        network(new, shifts, "in-out", x), network(weights, biases, "in-out", x), rtol=1e-12, atol=1e-12
    )


def test_arguments_and_pruned_weights_are_kept() -> None:
    weights, biases, _ = parameters("mlp", "in-out")
    weights[1][::2] = 0
    copies = [w.copy() for w in (*weights, *biases)]
    new, _ = rescale_relu(weights, biases)
    for now, then in zip((*weights, *biases), copies, strict=True):
        np.testing.assert_array_equal(now, then)
    np.testing.assert_array_equal(new[1] == 0, weights[1] == 0)


def test_what_is_not_finite_harms_its_own_unit_only() -> None:
    weights = [np.array([[np.inf, 1.0, 1e-200]]), np.ones((3, 1))]
    new, _ = rescale_relu(weights)  # the square of 1e-200 is 0: no incoming weight that could be scaled
    np.testing.assert_allclose(new[0], [[np.inf, 2**0.5, 1e-200]])
    np.testing.assert_allclose(new[1], [[1], [0.5**0.5], [1]])


def test_float16_is_computed_in_float32() -> None:
    weights = [np.full((4000, 1), 0.5, np.float16), np.ones((1, 1), np.float16)]
    new, _ = rescale_relu(weights)
    assert new[0].dtype == new[1].dtype == np.float16
    np.testing.assert_allclose(incoming_norms(new[0].astype(np.float64), None, "in-out"), np.sqrt(2), rtol=1e-3)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_standard_alone_is_enough(orientation: str) -> None:
    import array_api_strict as strict

    weights, biases, _ = parameters("cnn", orientation)
    expected, shifts = rescale_relu(weights, biases, orientation)
    new, moved = rescale_relu([strict.asarray(w) for w in weights], [strict.asarray(b) for b in biases], orientation)
    assert shifts is not None
    assert moved is not None
    for a, b in zip((*expected, *shifts), (*new, *moved), strict=True):
        np.testing.assert_allclose(a, np.from_dlpack(b), rtol=1e-14)


@pytest.mark.parametrize(
    ("biases", "message"),
    [
        ([np.ones(3)], r"biases must be a list of one bias, or None, per layer \(2\)"),
        (np.ones((2, 3)), r"biases must be a list of one bias, or None, per layer \(2\)"),
        ([np.ones(4), None], r"biases\[0\]: expected one number per unit of its layer, shape \(3,\), got \(4,\)"),
        ([None, np.ones(1) > 0], r"biases\[1\]: expected real numbers .*got dtype bool"),
    ],
)
def test_messages(biases: Any, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        rescale_relu([np.ones((4, 3)), np.ones((3, 1))], biases)
