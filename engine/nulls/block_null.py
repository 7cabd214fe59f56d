"""One block's null model: what is permuted among which slots, settled once, drawn many times.

``out[pi(p)] = w[p]`` with ``p = row * n_cols + col``: every non-zero finds its place, so that dense and CSR storage of
one block give the same null network, and a mostly-zero dense block costs what its non-zeros cost. Everything is read
off the weights that the backend has already loaded: on a device nothing goes back to the host or comes a second time.
"""

from dataclasses import dataclass
from typing import Any, Literal

from netspectra.errors import LimitError
from netspectra.graph.block import Block
from netspectra.graph.panels import count_nonzero, take_flat
from netspectra.kernels.backend import Backend
from netspectra.kernels.keys import shuffle_keys, stream_keys
from netspectra.kernels.triangle import rank_upper
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights, stored_rows

__all__ = ["BlockNull", "prepare_block"]

BANDWIDTH = 0.01
"""Absolute bandwidth of the Gaussian kernel density estimate of the signed weights (the official code's)."""
SPARSE_BELOW = 0.5
"""Fraction of non-zeros below which only the non-zeros of a dense block are moved."""
_MAX_DRAWS = 1 << 32

Move = Literal["all", "non-zero", "none"]
Plan = tuple[Literal["dense", "pattern", "sparse"], Any, Any, Any, int]
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
    xp = backend.xp
    if isinstance(given, CsrWeights):
        plan = _sparse_plan(xp, given, move, symmetric=block.is_symmetric, fixed_support=block.fixed_support)
    else:
        plan = _dense_plan(xp, given, move, symmetric=block.is_symmetric)
    storage, values, items, slots, size = plan
    return BlockNull(
        number=number,
        given=given,
        move=move,
        storage=storage,
        shape=block.shape,
        symmetric=block.is_symmetric,
        values=values,
        items=items,
        slots=slots,
        size=size,
        resample=resample,
    )


def _dense_plan(xp: Any, given: DenseWeights, move: Move, *, symmetric: bool) -> Plan:
    W, (m, n) = given.member(0), given.shape
    if move == "none":
        return "dense", None, None, None, 0
    if symmetric:
        upper = _places(xp, xp.triu(xp.ones((m, m), dtype=xp.bool), k=1))
        values = xp.take(xp.reshape(W, (-1,)), upper, axis=0)
        occupied = _places(xp, values != 0)
        values, size = xp.take(values, occupied, axis=0), int(occupied.shape[0])
        if move == "non-zero":
            return "dense", values, xp.arange(size, dtype=xp.int64), xp.take(upper, occupied, axis=0), size
        return "dense", values, occupied, upper, int(upper.shape[0])
    if move == "all" and count_nonzero(W) > SPARSE_BELOW * m * n:
        return "dense", W, None, None, m * n
    occupied = _places(xp, W != 0)
    values, size = take_flat(W, occupied), int(occupied.shape[0])
    if move == "all":
        return "dense", values, occupied, None, m * n
    return "dense", values, xp.arange(size, dtype=xp.int64), occupied, size


def _sparse_plan(xp: Any, given: CsrWeights, move: Move, *, symmetric: bool, fixed_support: bool) -> Plan:
    data, indices, indptr = given.member(0)
    (m, n), n_stored = given.shape, int(data.shape[0])
    if move == "none":
        return "pattern", None, None, None, 0
    if move == "non-zero" or fixed_support:
        occupied = _places(xp, data != 0)
        if move == "non-zero" and int(occupied.shape[0]) < n_stored:
            return "pattern", None, None, occupied, int(occupied.shape[0])
        return "pattern", None, None, None, n_stored
    rows, cols = stored_rows(xp, indptr, n_stored), xp.astype(indices, xp.int64)
    items = rank_upper(rows, cols, m) if symmetric else rows * n + cols
    return "sparse", data, items, None, m * (m - 1) // 2 if symmetric else m * n


def _places(xp: Any, mask: Any) -> Any:
    """Row-major places of what a mask marks, int64."""
    return xp.astype(xp.nonzero(xp.reshape(mask, (-1,)))[0], xp.int64, copy=False)
