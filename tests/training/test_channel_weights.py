"""Channel weights: plain loops, published code's norm, central differences, each framework's own autograd, messages."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from netspectra import Block
from netspectra.errors import GraphError
from netspectra.training.channel_weights import channel_weights, channel_weights_gradient

NORMS = ("l1", "l2", "operator-1")
LAYOUTS = ("oihw", "hwio")
CASES = list(itertools.product(NORMS, LAYOUTS))


def kernel_oihw(seed: int = 0, shape: tuple[int, ...] = (3, 4, 2, 5)) -> np.ndarray:
    """Return a kernel with a slice of zeros and a few zeros elsewhere."""
    kernel = np.random.default_rng(seed).standard_normal(shape)
    kernel[1, 2] = 0
    kernel[0, 0, 0] = 0
    return kernel


def in_layout(kernel: np.ndarray, layout: str) -> np.ndarray:
    return kernel if layout == "oihw" else np.moveaxis(kernel, (0, 1), (-1, -2))


SLICE_NORMS: dict[str, Callable[[np.ndarray], float]] = {
    "l1": lambda k: sum(abs(w) for w in k.ravel()),
    "l2": lambda k: sum(w * w for w in k.ravel()) ** 0.5,
    "operator-1": lambda k: float(np.linalg.norm(k, 1)),  # of a matrix: the largest column sum, as published
}


def looped(kernel: np.ndarray, norm: str) -> np.ndarray:
    n_out, n_in = kernel.shape[:2]
    return np.array([[SLICE_NORMS[norm](kernel[o, i]) for o in range(n_out)] for i in range(n_in)])


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_equals_plain_loops(norm: str, layout: str) -> None:
    kernel = kernel_oihw()
    edges = channel_weights(in_layout(kernel, layout), norm, layout)
    np.testing.assert_allclose(edges, looped(kernel, norm), rtol=1e-14)
    assert edges.shape == (4, 3)
    assert edges[2, 1] == 0  # input channel 2, output channel 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 4, 2, 2, 3)])
@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_one_and_three_spatial_axes(norm: str, shape: tuple[int, ...], layout: str) -> None:
    kernel = kernel_oihw(1, shape)
    edges = channel_weights(in_layout(kernel, layout), norm, layout)
    np.testing.assert_allclose(edges, looped(kernel, norm), rtol=1e-14)


def test_operator_norm_by_hand() -> None:
    kernel = np.array([[1.0, -2.0, 0.0], [-3.0, 1.0, 4.0]])[None, None]  # columns sum to 4, 3, 4; rows to 3, 8
    assert channel_weights(kernel, "operator-1").item() == 4
    gradient = channel_weights_gradient(kernel, np.array([[10.0]]), "operator-1")
    assert gradient[0, 0].tolist() == [[10, 0, 0], [-10, 0, 0]]  # the first of the two largest columns


def test_it_is_a_block_of_a_graph() -> None:
    edges = channel_weights(kernel_oihw().astype(np.float32))
    assert repr(Block(0, 1, edges)) == "Block(0 -> 1, 4 x 3 float32 dense)"


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("norm", NORMS)
def test_16_bit_kernels_are_summed_in_float32(norm: str, dtype: Any) -> None:
    kernel = np.full((1, 1, 64, 64), 0.1).astype(dtype)  # float16 sums of 4096 of these would be off by far more
    edges = channel_weights(kernel, norm)
    assert edges.dtype == np.float32
    np.testing.assert_allclose(edges, looped(kernel.astype(np.float64), norm), rtol=1e-5)
    assert channel_weights_gradient(kernel, np.ones((1, 1)), norm).dtype == dtype


def test_integers_and_foreign_byte_order() -> None:
    kernel = np.arange(-12, 12).reshape(2, 3, 2, 2)
    for given in (kernel, kernel.astype(np.int8), kernel.astype(">f8"), kernel.tolist()):
        edges = channel_weights(given, "l2")
        assert edges.dtype == np.float64
        np.testing.assert_allclose(edges, looped(kernel, "l2"), rtol=1e-14)
    assert channel_weights_gradient(kernel, np.ones((3, 2))).dtype == np.float64


# -- derivatives -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_gradient_against_central_differences(norm: str, layout: str) -> None:
    rng = np.random.default_rng(2)
    kernel = in_layout(rng.standard_normal((3, 4, 2, 5)), layout)  # no zeros: differentiable
    cotangent, direction, step = rng.standard_normal((4, 3)), rng.standard_normal(kernel.shape), 1e-6
    ahead, behind = (channel_weights(kernel + s * direction, norm, layout) for s in (step, -step))
    expected = np.sum(cotangent * (ahead - behind)) / (2 * step)
    gradient = channel_weights_gradient(kernel, cotangent, norm, layout)
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_zeros_stay_where_they_are(norm: str, layout: str) -> None:
    kernel = in_layout(kernel_oihw(), layout)
    gradient = channel_weights_gradient(kernel, np.ones((4, 3)), norm, layout)
    assert np.all(gradient[kernel == 0] == 0)
    assert np.any(gradient != 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradient_of_three_spatial_axes(layout: str) -> None:
    kernel = in_layout(kernel_oihw(3, (3, 4, 2, 2, 3)), layout)
    cotangent = np.random.default_rng(4).standard_normal((4, 3))
    gradient = channel_weights_gradient(kernel, cotangent, "l1", layout)
    per_slice = cotangent.T[:, :, None, None, None]
    np.testing.assert_array_equal(gradient, np.sign(kernel) * in_layout(per_slice, layout))


@pytest.mark.requires("torch")
@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_torch_autograd_is_the_closed_form(norm: str, layout: str) -> None:
    import torch

    host = in_layout(kernel_oihw(), layout)
    host[..., 0] = host[..., 1]  # oihw: two equal columns, so that the operator norm has ties
    kernel = torch.tensor(host, requires_grad=True)
    cotangent = torch.tensor(np.random.default_rng(5).standard_normal((4, host.shape[0 if layout == "oihw" else -1])))
    edges = channel_weights(kernel, norm, layout)
    assert isinstance(edges, torch.Tensor)
    np.testing.assert_allclose(edges.detach().numpy(), channel_weights(host, norm, layout), rtol=1e-14)
    edges.backward(cotangent)
    closed = channel_weights_gradient(kernel.detach(), cotangent, norm, layout)
    np.testing.assert_allclose(kernel.grad.numpy(), closed.numpy(), rtol=1e-14)
    np.testing.assert_allclose(
        closed.numpy(), channel_weights_gradient(host, cotangent.numpy(), norm, layout), rtol=1e-14
    )


@pytest.mark.requires("torch")
def test_torch_dtypes() -> None:
    import torch

    kernel = torch.ones((2, 3, 2, 2), dtype=torch.bfloat16, requires_grad=True)
    edges = channel_weights(kernel, "l2")
    assert edges.dtype == torch.float32
    edges.sum().backward()
    assert kernel.grad.dtype == torch.bfloat16
    assert channel_weights_gradient(kernel.detach(), edges.detach(), "l2").dtype == torch.bfloat16
    assert channel_weights(torch.ones((2, 3, 2), dtype=torch.int32)).dtype == torch.float64
    with pytest.raises(GraphError, match=r"expected an array of the same library as kernel \(Tensor\), got ndarray"):
        channel_weights_gradient(kernel.detach(), np.ones((3, 2)))


@pytest.mark.requires("jax")
@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_jax_autograd_is_the_closed_form(norm: str, layout: str) -> None:
    import jax
    import jax.numpy as jnp

    host = in_layout(kernel_oihw().astype(np.float32), layout)
    host[..., 0] = host[..., 1]
    cotangent = np.random.default_rng(5).standard_normal((4, host.shape[0 if layout == "oihw" else -1]))
    cotangent = cotangent.astype(np.float32)

    @jax.jit
    def both(kernel: Any) -> tuple[Any, Any, Any]:
        edges, pull_back = jax.vjp(lambda k: channel_weights(k, norm, layout), kernel)
        return (
            edges,
            pull_back(jnp.asarray(cotangent))[0],
            channel_weights_gradient(kernel, jnp.asarray(cotangent), norm, layout),
        )

    edges, own, closed = both(jnp.asarray(host))
    assert edges.dtype == jnp.float32
    np.testing.assert_allclose(edges, channel_weights(host, norm, layout), rtol=1e-6)
    np.testing.assert_allclose(own, closed, rtol=1e-6)
    np.testing.assert_allclose(closed, channel_weights_gradient(host, cotangent, norm, layout), rtol=1e-6)


@pytest.mark.requires("jax")
def test_jax_integers_take_its_widest_float() -> None:
    import jax.numpy as jnp

    edges = channel_weights(jnp.ones((2, 3, 4), dtype=jnp.int8))
    assert edges.dtype == jnp.asarray(np.ones(1)).dtype  # float32 without x64, and no warning
    assert np.all(np.asarray(edges) == 4)


@pytest.mark.parametrize(("norm", "layout"), CASES)
def test_the_standard_alone_is_enough(norm: str, layout: str) -> None:
    import array_api_strict as strict

    host = in_layout(kernel_oihw(), layout)
    kernel, cotangent = strict.asarray(host), np.random.default_rng(6).standard_normal((4, 3))
    edges = channel_weights(kernel, norm, layout)
    np.testing.assert_allclose(np.from_dlpack(edges), channel_weights(host, norm, layout), rtol=1e-14)
    closed = channel_weights_gradient(kernel, strict.asarray(cotangent), norm, layout)
    expected = channel_weights_gradient(host, cotangent, norm, layout)
    np.testing.assert_allclose(np.from_dlpack(closed), expected, rtol=1e-14)


# -- bad input ---------------------------------------------------------------------------------------------------------

GOOD = np.ones((2, 3, 2, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD, "L1"), r"norm must be one of \['l1', 'l2', 'operator-1'\], got 'L1'"),
        ((GOOD, "l1", "ohwi"), r"layout must be one of \['oihw', 'hwio'\], got 'ohwi'"),
        ((GOOD[0, 0],), r"at least one spatial axis, got shape \(2, 2\); the weights of a dense layer are a block"),
        ((GOOD[0, 0, 0],), r"expected shape \(n_out, n_in, \*spatial\) with at least one spatial axis, got shape \(2,"),
        ((np.float64(3), "l1", "hwio"), r"expected shape \(\*spatial, n_in, n_out\)"),
        ((GOOD[:, :0],), r"at least one entry along every axis, got shape \(2, 0, 2, 2\)"),
        ((GOOD[..., 0], "operator-1"), r"needs exactly two spatial axes, got shape \(2, 3, 2\).*take 'l1' or 'l2'"),
        ((GOOD.astype(complex),), r"kernel: expected real numbers .*got dtype complex128; convert it first"),
        ((GOOD.astype(object),), r"expected real numbers .*got dtype object"),
        ((GOOD > 0,), r"expected real numbers .*got dtype bool"),
        ((["a"],), r"expected real numbers"),
        (([[1.0], [1.0, 2.0]],), r"kernel: cannot be read as an array \(list\)"),
    ],
)
def test_messages(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        channel_weights(*arguments)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_cotangent_of_another_shape(layout: str) -> None:
    with pytest.raises(GraphError, match=r"one number per edge, shape \(3, 2\), got \(2, 3\)"):
        channel_weights_gradient(in_layout(GOOD, layout), np.ones((2, 3)), "l1", layout)
