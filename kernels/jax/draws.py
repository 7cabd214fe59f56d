"""Keyed draws of the KDE null models and of LOBPCG's starting block."""

import math
from typing import Any

import jax
import jax.numpy as jnp

from netspectra.kernels.backend import Array
from netspectra.kernels.jax.random import indices, normals

__all__ = ["resample_nonzero", "standard_normals"]


def resample_nonzero(values: Array, index_keys: Array, noise_keys: Array, bandwidth: Any) -> Array:
    """Replace the r-th non-zero of each member by ``|w_j + bandwidth z|``, with j and z keyed by r; zeros stay.

    How many non-zeros there are is not known to the compiler, so every entry draws as if it were one: a non-zero's
    number is the count of those before it.

    Parameters
    ----------
    values : array, shape (B, ...) or (1, ...)
        Dense weights or the stored values of CSR weights; (1, ...) where all members share them. At most 2**32 each.
    index_keys, noise_keys : arrays, shape (B, 2), uint32
    bandwidth : float

    Returns
    -------
    array, shape (B, ...)
        In the dtype of `values`, 16-bit floats widened to float32.
    """
    given = jnp.reshape(values, (values.shape[0], -1))
    dtype = jnp.promote_types(values.dtype, jnp.float32)
    members = index_keys.shape[0]
    if given.shape[1] == 0:
        return jnp.zeros((members, *values.shape[1:]), dtype)
    present = given != 0
    rank = jnp.cumsum(present, axis=1, dtype=jnp.uint32) - 1
    count = jnp.sum(present, axis=1, dtype=jnp.uint32)
    packed = jax.vmap(_pack)(given.astype(dtype), present, rank)

    def draw(packed: Array, present: Array, rank: Array, count: Array, index_key: Array, noise_key: Array) -> Array:
        chosen = packed.at[indices(rank, count, index_key)].get(mode="clip")  # zeros point anywhere
        noise = normals(rank, noise_key)
        fresh = jnp.abs(chosen.astype(noise.dtype) + bandwidth * noise)
        return jnp.where(present, fresh, 0).astype(dtype)

    if given.shape[0] < members:
        packed, present, rank, count = packed[0], present[0], rank[0], count[0]
    axis = 0 if packed.ndim > 1 else None
    drawn = jax.vmap(draw, (axis, axis, axis, axis, 0, 0))(packed, present, rank, count, index_keys, noise_keys)
    return jnp.reshape(drawn, (members, *values.shape[1:]))


def standard_normals(keys: Array, shape: tuple[int, int], dtype: Any) -> Array:
    """Keyed standard normals (B, *shape), element number row-major; drawn in float64 with x64, rounded once."""
    elements = jnp.arange(math.prod(shape), dtype=jnp.uint32)
    drawn = jax.vmap(lambda key: normals(elements, key))(keys)
    return jnp.reshape(drawn, (keys.shape[0], *shape)).astype(jax.dtypes.canonicalize_dtype(dtype))


def _pack(values: Array, present: Array, rank: Array) -> Array:
    """The entries that are present, at the front."""
    place = jnp.where(present, rank, rank.dtype.type(values.shape[0]))
    return jnp.zeros_like(values).at[place].set(values, mode="drop", unique_indices=False)
