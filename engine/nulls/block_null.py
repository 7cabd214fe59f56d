"""One block's null model: what is permuted among which slots, settled once, drawn many times.

``out[pi(p)] = w[p]`` with ``p = row * n_cols + col``: every non-zero finds its place, so that dense and CSR storage of
one block give the same null network, and a mostly-zero dense block costs what its non-zeros cost.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from netspectra.errors import LimitError
from netspectra.graph.block import Block
from netspectra.kernels.backend import Backend
from netspectra.kernels.keys import shuffle_keys, stream_keys
from netspectra.kernels.triangle import rank_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights

__all__ = ["BlockNull", "prepare_block"]

BANDWIDTH = 0.01
"""Absolute bandwidth of the Gaussian kernel density estimate of the signed weights (the official code's)."""
SPARSE_BELOW = 0.5
"""Fraction of non-zeros below which only the non-zeros of a dense block are moved."""
_MAX_DRAWS = 1 << 32

Ints = np.ndarray[Any, np.dtype[np.int64]]
Move = Literal["all", "non-zero", "none"]
_MOVES: dict[str, Move] = {"shuffle": "all", "kde": "all", "shuffle-nonzero": "non-zero", "kde-nonzero": "none"}


@dataclass(frozen=True)
class BlockNull:
    """How replicates of one block are drawn.

    Attributes
    ----------
    number : int
        The block's number in the random key.
    given : BlockWeights
        The block as it is (B = 1), what is returned where nothing is drawn.
    storage : {"dense", "pattern", "sparse"}
        Result: dense; CSR of the same pattern; CSR of a pattern of its own.
    values, items, slots, size
        ``out[slots[pi(items[j])]] = values[j]`` with pi a bijection of ``{0 .. size-1}``.
    resample : bool
        Whether the non-zeros are then drawn anew (the KDE models).
    """

    number: int
    given: BlockWeights
    move: Move
    storage: Literal["dense", "pattern", "sparse"]
    shape: tuple[int, int]
    symmetric: bool
    values: Any
    items: Any
    slots: Any
    size: int
    resample: bool

    def draw(self, backend: Backend, seed: int, replicates: list[int]) -> BlockWeights:
        """Weights of the block in each replicate."""
        weights = self.given if self.move == "none" else self._permute(backend, seed, replicates)
        if not self.resample:
            return weights
        index_keys = stream_keys(seed, "kde-index", replicates, self.number)
        noise_keys = stream_keys(seed, "kde-noise", replicates, self.number)
        return backend.resample_nonzero(weights, index_keys, noise_keys, BANDWIDTH)

    def _permute(self, backend: Backend, seed: int, replicates: list[int]) -> BlockWeights:
        keys = shuffle_keys(seed, replicates, self.number, self.size)
        if self.storage == "dense":
            return backend.permute_dense(self.values, keys, self.items, self.slots, self.shape)
        if self.storage == "pattern":
            assert isinstance(self.given, CsrWeights)
            return backend.permute_pattern(self.given, keys, self.slots)
        return backend.permute_sparse(self.values, keys, self.items, self.shape, symmetric=self.symmetric)


def prepare_block(block: Block, number: int, null: str, given: BlockWeights, backend: Backend) -> BlockNull:
    """Settle what null model `null` permutes in a block (compact: without isolated nodes)."""
    move = _MOVES[null]
    resample = null.startswith("kde")
    if not block.learned:
        move, resample = "none", False
    if resample and block.n_stored >= _MAX_DRAWS:
        msg = f"blocks[{number}]: {block.n_stored} weights, the KDE models draw among at most 2**32; use 'shuffle'"
        raise LimitError(msg)
    storage, values, items, slots, size = _sparse_plan(block, move) if block.is_sparse else _dense_plan(block, move)

    def load(array: Any) -> Any:
        return None if array is None else backend.asarray(array)

    return BlockNull(
        number=number,
        given=given,
        move=move,
        storage=storage,
        shape=block.shape,
        symmetric=block.is_symmetric,
        values=load(values),
        items=load(items),
        slots=load(slots),
        size=size,
        resample=resample,
    )


def _dense_plan(block: Block, move: Move) -> tuple[Literal["dense"], Any, Any, Any, int]:
    W: Any = np.asarray(block.weights)
    (m, n), items, slots = W.shape, None, None
    if move == "none":
        return "dense", None, None, None, 0
    if block.is_symmetric:
        upper = np.flatnonzero(np.triu(np.ones((m, m), bool), k=1)).astype(np.int64)
        values = W.reshape(-1)[upper]
        occupied = np.flatnonzero(values).astype(np.int64)
        if move == "non-zero":
            return "dense", values[occupied], np.arange(occupied.size, dtype=np.int64), upper[occupied], occupied.size
        return "dense", values[occupied], occupied, upper, upper.size
    count = block.count_nonzero()
    if move == "all" and count > SPARSE_BELOW * m * n:
        return "dense", W, None, None, m * n
    occupied = np.flatnonzero(W != 0).astype(np.int64)
    values = W[np.divmod(occupied, n)]
    if move == "all":
        items, size = occupied, m * n
    else:
        items, slots, size = np.arange(occupied.size, dtype=np.int64), occupied, occupied.size
    return "dense", np.ascontiguousarray(values), items, slots, size


def _sparse_plan(block: Block, move: Move) -> tuple[Literal["pattern", "sparse"], Any, Any, Any, int]:
    W: Any = sp.csr_array(sp.triu(block.weights, k=1)) if block.is_symmetric else block.weights
    if move == "none":
        return "pattern", None, None, None, 0
    if move == "non-zero" or block.fixed_support:
        occupied = np.flatnonzero(W.data).astype(np.int64)
        inside = move == "non-zero" and occupied.size < W.nnz
        return "pattern", None, None, occupied if inside else None, occupied.size if inside else W.nnz
    rows = np.repeat(np.arange(W.shape[0], dtype=np.int64), np.diff(W.indptr))
    cols = W.indices.astype(np.int64)
    m, n = W.shape
    items: Ints = rank_upper(rows, cols, m) if block.is_symmetric else rows * n + cols
    size = m * (m - 1) // 2 if block.is_symmetric else m * n
    return "sparse", W.data, items, None, size
