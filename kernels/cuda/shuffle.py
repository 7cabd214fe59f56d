"""Keyed shuffles on the device: see ``shuffle.cu``."""

from typing import Any

import numpy as np

from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import run_flat
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.keys import ShuffleKeys, feistel_bits
from netspectra.kernels.weights import CsrWeights, DenseWeights

__all__ = ["permute_dense", "permute_pattern", "permute_sparse"]

_BITS = {2: "uint16", 4: "uint32", 8: "uint64"}


def permute_dense(
    xp: Any, launcher: Launcher, values: Any, keys: ShuffleKeys, items: Any, slots: Any, shape: tuple[int, int]
) -> DenseWeights:
    """``out[slots[pi(items[j])]] = values[j]`` into zeros, per replicate; values move as bits."""
    flat = xp.reshape(values, (-1,))  # a copy where the block is stored column by column
    n_items, members, total = int(flat.shape[0]), keys.rounds.shape[0], shape[0] * shape[1]
    full = items is None
    out = (xp.empty if full else xp.zeros)((members, total), dtype=values.dtype)
    bits = getattr(xp, _BITS[values.dtype.itemsize])
    kernel = Kernel("shuffle.cu", "scatter", (("BITS", _BITS[values.dtype.itemsize]),))
    nothing = xp.empty((1,), dtype=xp.int64)
    arguments = [
        flat.view(bits),
        nothing if full else items,
        int(not full),
        nothing if slots is None else slots,
        int(slots is not None),
        out.view(bits),
        n_items,
        total,
        *_key_arguments(xp, keys),
    ]
    run_flat(launcher, kernel, n_items, members, arguments)
    return DenseWeights(xp.reshape(out, (members, *shape)))


def permute_pattern(xp: Any, launcher: Launcher, weights: CsrWeights, keys: ShuffleKeys, slots: Any) -> CsrWeights:
    """Permute the stored values of a CSR block among its stored positions (or those named by `slots`)."""
    values = weights.values[0, :] if slots is None else xp.take(weights.values[0, :], slots, axis=0)
    items = xp.arange(values.shape[0], dtype=xp.int64)
    moved = permute_dense(xp, launcher, values, keys, items, slots, (1, int(weights.values.shape[1]))).values
    return CsrWeights(moved[:, 0, :], weights.indices, weights.indptr, weights.shape)


def permute_sparse(
    xp: Any, launcher: Launcher, values: Any, keys: ShuffleKeys, items: Any, shape: tuple[int, int], *, symmetric: bool
) -> CsrWeights:
    """CSR block whose value j stands at row-major place ``pi(items[j])``, of the upper triangle if `symmetric`."""
    (m, n), members, n_items = shape, keys.rounds.shape[0], int(items.shape[0])
    places = xp.empty((members, n_items), dtype=xp.int64)
    arguments = [items, places, n_items, *_key_arguments(xp, keys)]
    run_flat(launcher, Kernel("shuffle.cu", "permute_places", (("BITS", "uint32"),)), n_items, members, arguments)
    row = xp.arange(m, dtype=xp.int64)
    starts = row * (2 * m - row - 1) // 2 if symmetric else row * n
    index_type = xp.int32 if n <= np.iinfo(np.int32).max else xp.int64
    parts = [_sorted_csr(xp, values, places[b, :], starts, index_type, symmetric=symmetric) for b in range(members)]
    data, indices, indptr = (xp.stack(list(arrays)) for arrays in zip(*parts, strict=True))
    return CsrWeights(data, indices, indptr, shape)


def _sorted_csr(
    xp: Any, values: Any, places: Any, starts: Any, index_type: Any, *, symmetric: bool
) -> tuple[Any, Any, Any]:
    """Values, columns and row pointers of one member; `starts` is the first place of each row."""
    order = xp.argsort(places)
    places = xp.take(places, order, axis=0)
    rows = xp.searchsorted(starts, places, side="right") - 1
    cols = places - xp.take(starts, rows, axis=0) + (rows + 1 if symmetric else 0)
    end = xp.asarray([int(places.shape[0])], dtype=xp.int64)
    indptr = xp.concat([xp.searchsorted(places, starts), end])
    return xp.take(values, order, axis=0), xp.astype(cols, index_type), xp.astype(indptr, xp.int64)


def _key_arguments(xp: Any, keys: ShuffleKeys) -> list[Any]:
    return [xp.asarray(keys.rounds), xp.asarray(keys.swaps), int(keys.size), *feistel_bits(keys.size)]
