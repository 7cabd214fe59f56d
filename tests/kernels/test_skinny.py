"""Products with few vectors against NumPy, whatever the shape, the order in memory and the number of vectors."""

import numpy as np
import pytest

from netspectra.kernels import get_backend
from netspectra.kernels.cpu.skinny import LARGEST, is_skinny
from netspectra.kernels.weights import DenseWeights


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 3, 4, 7, 8])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 784), (257, 31)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_products_are_those_of_numpy(dtype: str, width: int, shape: tuple[int, int], order: str) -> None:
    rng = np.random.default_rng(width)
    W = np.asarray(rng.standard_normal(shape), dtype, order=order)
    x, z = (rng.standard_normal((1, size, width)).astype(dtype) for size in shape)
    y_source, y_target = get_backend("cpu").block_product(DenseWeights(W[None]), x, z)
    bound = 4 * max(shape) * np.finfo(dtype).eps
    np.testing.assert_allclose(y_source[0], np.abs(W) @ z[0], rtol=0, atol=bound * np.abs(z).max() * np.abs(W).max())
    np.testing.assert_allclose(y_target[0], np.abs(W).T @ x[0], rtol=0, atol=bound * np.abs(x).max() * np.abs(W).max())


def test_16_bit_weights_are_widened_first() -> None:
    rng = np.random.default_rng(0)
    W, x = rng.standard_normal((30, 20)).astype(np.float16), rng.standard_normal((1, 20, 4)).astype(np.float32)
    found, _ = get_backend("cpu").block_product(DenseWeights(W[None]), None, x)
    same, _ = get_backend("cpu").block_product(DenseWeights(W[None].astype(np.float32)), None, x)
    np.testing.assert_array_equal(found, same)


def test_who_is_skinny() -> None:
    W = np.ones((8, 8), np.float32)
    assert is_skinny(W, np.ones((8, 8), np.float32))
    assert not is_skinny(W, np.ones((8, 9), np.float32))
    assert is_skinny(W.astype(np.float16), np.ones((8, 4)))
    assert not is_skinny(W, np.ones((8, 4), np.float16))
    assert not is_skinny(W[:, ::2], np.ones((4, 4), np.float32))
    assert not is_skinny(np.ones((2, LARGEST), np.float32), np.ones((LARGEST, 4), np.float32))
