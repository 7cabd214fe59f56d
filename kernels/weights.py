"""Weights of one block for a batch of replicates, as backends hold them: dense or CSR, leading axis of replicates."""

import math
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

__all__ = ["BlockWeights", "CsrWeights", "DenseWeights", "n_stored", "stored_bytes", "stored_rows"]


@dataclass(frozen=True)
class DenseWeights:
    """Dense signed weights.

    Attributes
    ----------
    values : array, shape (B, m, n)
        In their storage dtype; B is the number of replicates, or 1 where all share the block. Of a symmetric block
        only the strict upper triangle is non-zero.
    """

    values: Any

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return int(self.values.shape[1]), int(self.values.shape[2])

    @property
    def n_members(self) -> int:
        """B."""
        return int(self.values.shape[0])

    def member(self, index: int) -> Any:
        """Weights (m, n) of a member; the shared ones where all members share the block."""
        return self.values[index if self.n_members > 1 else 0, ...]


@dataclass(frozen=True)
class CsrWeights:
    """Sparse signed weights, canonical CSR per replicate.

    Attributes
    ----------
    values : array, shape (B, nnz)
    indices : array, shape (B, nnz), int32 or int64
        Column of each value, sorted within a row. B may be 1 where all replicates share the pattern.
    indptr : array, shape (B, m + 1), int64
        A member with fewer than nnz values leaves the tail unused.
    shape : (m, n)
    derived : dict
        What a backend makes of these weights and keeps for the next call, as their transpose.
    """

    values: Any
    indices: Any
    indptr: Any
    shape: tuple[int, int]
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_members(self) -> int:
        """B."""
        return int(self.values.shape[0])

    def member(self, index: int) -> tuple[Any, Any, Any]:
        """Return (values, indices, indptr) of a member; what all members share is shared."""
        row, pattern = index if self.n_members > 1 else 0, index if self.indices.shape[0] > 1 else 0
        return self.values[row, :], self.indices[pattern, :], self.indptr[pattern, :]


BlockWeights: TypeAlias = DenseWeights | CsrWeights


def n_stored(weights: BlockWeights) -> int:
    """Stored weights of all members together."""
    return math.prod(int(size) for size in weights.values.shape)


def stored_bytes(weights: BlockWeights) -> int:
    """What they take; 8 bytes each where the library does not say."""
    return n_stored(weights) * int(getattr(weights.values.dtype, "itemsize", 8))


def stored_rows(xp: Any, indptr: Any, n_stored: int) -> Any:
    """Row of each of `n_stored` values of a CSR array, int64, where `indptr` is."""
    if type(indptr) is np.ndarray and int(indptr[-1]) == n_stored:  # the standard's repeat is not every library's
        return np.repeat(np.arange(indptr.size - 1, dtype=np.int64), np.diff(indptr))
    places = xp.arange(n_stored, dtype=xp.int64, device=array_api_compat.device(indptr))
    return xp.astype(xp.searchsorted(xp.astype(indptr[1:], xp.int64), places, side="right"), xp.int64)
