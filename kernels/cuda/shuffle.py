"""Keyed shuffles on the device: see ``shuffle.cu``."""

from typing import Any

import numpy as np

from netspectra.kernels.cuda.launcher import Launcher
from netspectra.kernels.cuda.layout import contiguous, run_flat
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.keys import ShuffleKeys, feistel_bits
from netspectra.kernels.weights import CsrWeights, DenseWeights

__all__ = ["permute_dense", "permute_pattern", "permute_sparse"]

_BITS = {2: "uint16", 4: "uint32", 8: "uint64"}


def permute_dense(
    xp: Any, launcher: Launcher, values: Any, keys: ShuffleKeys, items: Any, slots: Any, shape: tuple[int, int]
) -> DenseWeights:
    """``out[slots[pi(items[j])]] = values[j]`` into zeros, per replicate; values move as bits."""
    flat = contiguous(xp.reshape(values, (-1,)))
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
    order, rows, places, indptr = _sorted_by_place(xp, places, starts, int(keys.size))
    cols = places - xp.take(starts, rows, axis=0) + (rows + 1 if symmetric else 0)
    index_type = xp.int32 if n <= np.iinfo(np.int32).max else xp.int64
    data = xp.reshape(xp.take(values, order, axis=0), (members, n_items))
    return CsrWeights(data, xp.reshape(xp.astype(cols, index_type), (members, n_items)), indptr, shape)


def _sorted_by_place(xp: Any, places: Any, starts: Any, size: int) -> tuple[Any, Any, Any, Any]:
    """Which item comes at each sorted place, its row, the place, all flat; and row pointers (B, m + 1).

    `places` (B, n_items) below `size`, `starts` (m,) the first place of each row. All members are sorted at once, each
    in a range of keys of its own.
    """
    members, n_items = (int(length) for length in places.shape)
    member = xp.arange(members, dtype=xp.int64)[:, None]
    keys = xp.reshape(places + member * size, (-1,))
    order = xp.argsort(keys)
    ascending = xp.take(keys, order, axis=0)
    begin = xp.searchsorted(ascending, xp.reshape(starts[None, :] + member * size, (-1,)))
    begin = xp.reshape(xp.astype(begin, xp.int64), (members, -1)) - member * n_items
    indptr = xp.concat([begin, xp.full((members, 1), n_items, dtype=xp.int64)], axis=1)
    flat = xp.reshape(xp.reshape(ascending, (members, n_items)) - member * size, (-1,))
    rows = xp.astype(xp.searchsorted(starts, flat, side="right"), xp.int64) - 1
    return order % max(n_items, 1), rows, flat, indptr


def _key_arguments(xp: Any, keys: ShuffleKeys) -> list[Any]:
    return [xp.asarray(keys.rounds), xp.asarray(keys.swaps), int(keys.size), *feistel_bits(keys.size)]
