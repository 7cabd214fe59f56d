"""Null replicates of one block on the CPU: permuted and resampled weights, for a batch of keys."""

from typing import Any, TypeAlias

import numpy as np

from netspectra.kernels.cpu import random, shuffle
from netspectra.kernels.keys import ShuffleKeys, feistel_bits
from netspectra.kernels.triangle import unrank_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["permute_dense", "permute_pattern", "permute_sparse", "resample_nonzero", "standard_normals"]

Array: TypeAlias = np.ndarray[Any, Any]
_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_NO_SLOTS = np.empty(0, np.int64)


def permute_dense(
    values: Array, keys: ShuffleKeys, items: Array | None, slots: Array | None, shape: tuple[int, int]
) -> DenseWeights:
    """``out[slots[pi(items[j])]] = values[j]`` into zeros, per replicate; values move as bits."""
    bits, n_members = values.view(_BITS[values.dtype.itemsize]), keys.rounds.shape[0]
    width = feistel_bits(keys.size)
    total = shape[0] * shape[1]
    out = np.empty((n_members, total), bits.dtype) if items is None else np.zeros((n_members, total), bits.dtype)
    for b in range(n_members):
        if items is None:
            shuffle.scatter_dense(bits, out[b], *width, keys.rounds[b], keys.swaps[b])
        else:
            places = _NO_SLOTS if slots is None else slots
            shuffle.scatter_items(bits, items, places, out[b], keys.size, *width, keys.rounds[b], keys.swaps[b])
    return DenseWeights(out.view(values.dtype).reshape(n_members, *shape))


def permute_pattern(weights: CsrWeights, keys: ShuffleKeys, slots: Array | None) -> CsrWeights:
    """Permute the stored values of a CSR block among its stored positions (or those named by `slots`)."""
    values = weights.values[0] if slots is None else weights.values[0][slots]
    items = np.arange(values.size, dtype=np.int64)
    moved = permute_dense(values, keys, items, slots, (1, weights.values.shape[1])).values
    return CsrWeights(moved.reshape(keys.rounds.shape[0], -1), weights.indices, weights.indptr, weights.shape)


def permute_sparse(
    values: Array, keys: ShuffleKeys, items: Array, shape: tuple[int, int], *, symmetric: bool
) -> CsrWeights:
    """CSR block whose value j stands at row-major place ``pi(items[j])``, of the upper triangle if `symmetric`."""
    n_members, (m, n), width = keys.rounds.shape[0], shape, feistel_bits(keys.size)
    index_type = np.int32 if n <= np.iinfo(np.int32).max else np.int64
    data = np.empty((n_members, values.size), values.dtype)
    indices = np.empty((n_members, values.size), index_type)
    indptr = np.zeros((n_members, m + 1), np.int64)
    for b in range(n_members):
        places = items.copy()
        shuffle.permute_positions(places, keys.size, *width, keys.rounds[b], keys.swaps[b])
        order = np.argsort(places)
        places = places[order]
        rows, cols = unrank_upper(places, m) if symmetric else np.divmod(places, n)
        data[b], indices[b] = values[order], cols
        np.cumsum(np.bincount(rows, minlength=m), out=indptr[b, 1:])
    return CsrWeights(data, indices, indptr, shape)


def resample_nonzero(weights: BlockWeights, index_keys: Array, noise_keys: Array, bandwidth: float) -> BlockWeights:
    """Replace the r-th non-zero (row-major) by ``|w_j + bandwidth z|`` with j and z keyed by r."""
    n_members = index_keys.shape[0]
    dtype = weights.values.dtype if weights.values.dtype == np.float64 else np.dtype(np.float32)
    out = np.zeros((n_members, *weights.values.shape[1:]), dtype)
    for b in range(n_members):
        source = weights.values[b if weights.n_members > 1 else 0]
        mask = source != 0
        values = source[mask].astype(dtype)
        fresh = np.empty_like(values)
        random.resample_nonzero(values, index_keys[b], noise_keys[b], bandwidth, fresh)
        out[b][mask] = fresh
    if isinstance(weights, CsrWeights):
        return CsrWeights(out, weights.indices, weights.indptr, weights.shape)
    return DenseWeights(out)


def standard_normals(keys: Array, shape: tuple[int, int], dtype: Any) -> Array:
    """Keyed standard normals (B, *shape), element number row-major."""
    out = np.empty((keys.shape[0], shape[0] * shape[1]), dtype)
    for b in range(keys.shape[0]):
        random.standard_normals(keys[b], 0, out[b])
    return out.reshape(keys.shape[0], *shape)
