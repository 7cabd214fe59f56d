"""A block: the weights between two layers, exactly as the network holds them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError
from netspectra.graph.arrays import Weights, as_weights, is_sparse
from netspectra.graph.device import HOST, device_of
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.dtypes import storage_dtype
from netspectra.graph.panels import count_nonzero

__all__ = ["Block"]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Block:
    """Weights between two layers; the edge between row *i* and column *j* has weight ``|weights[i, j]|``.

    Parameters
    ----------
    source, target : int or str
        Layers that rows and columns belong to, by position (or by name, resolved by ``LayerGraph.from_blocks``). The
        same layer twice makes a *symmetric* block: its strict upper triangle counts.
    weights : array_like or scipy.sparse array, shape (n_source, n_target)
        Signed, in their native dtype. A dense array is kept as a read-only view; a sparse one becomes canonical CSR
        (sorted, duplicates summed, explicit zeros dropped unless ``fixed_support``). Arrays on a device (CuPy, PyTorch,
        JAX, anything with DLPack; ``cupyx.scipy.sparse``) stay there, uncopied.
    learned : bool, default True
        False marks parameter-free edges (identity skips), which null models never shuffle.
    fixed_support : bool, default False
        The stored pattern of a sparse `weights` is all that the architecture allows (grouped and depthwise
        convolutions): null models stay inside it, and its explicit zeros are kept as places a weight may move to.
    copy : bool, default False
        Copy dense weights instead of viewing them.

    Raises
    ------
    GraphError
        If the weights are not a 2-D array of finite real numbers, or ``fixed_support`` is asked of a dense array.
    """

    source: int | str
    target: int | str
    weights: Weights
    learned: bool
    fixed_support: bool

    def __init__(
        self,
        source: int | str,
        target: int | str,
        weights: object,
        learned: bool = True,
        *,
        fixed_support: bool = False,
        copy: bool = False,
    ) -> None:
        if fixed_support and not is_sparse(weights):
            msg = f"block {source} -> {target}: fixed_support needs sparse weights, whose pattern is the support"
            raise GraphError(msg)
        array = as_weights(weights, f"block {source} -> {target}", keep_zeros=fixed_support, copy=copy)
        object.__setattr__(self, "source", source)
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "weights", array)
        object.__setattr__(self, "learned", bool(learned))
        object.__setattr__(self, "fixed_support", bool(fixed_support))

    @classmethod
    def of_checked(
        cls, source: int, target: int, weights: Weights, *, learned: bool = True, fixed_support: bool = False
    ) -> "Block":
        """Block of weights that :func:`~netspectra.graph.arrays.as_weights` has already checked: no second pass."""
        block = object.__new__(cls)
        object.__setattr__(block, "source", source)
        object.__setattr__(block, "target", target)
        object.__setattr__(block, "weights", weights)
        object.__setattr__(block, "learned", learned)
        object.__setattr__(block, "fixed_support", fixed_support)
        return block

    @property
    def shape(self) -> tuple[int, int]:
        """(n_source, n_target)."""
        rows, cols = self.weights.shape
        return int(rows), int(cols)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Storage dtype of the weights."""
        return storage_dtype(self.weights.data if self.is_sparse else self.weights)

    @property
    def device(self) -> str:
        """Where the weights are: ``"cpu"``, ``"cuda:0"``, or what their library calls its device."""
        return device_of(self.weights.data if self.is_sparse else self.weights)

    @property
    def is_sparse(self) -> bool:
        """Whether the weights are stored as CSR."""
        return is_sparse(self.weights)

    @property
    def is_symmetric(self) -> bool:
        """Whether the block joins a layer to itself."""
        return self.source == self.target

    @property
    def n_stored(self) -> int:
        """Stored weights (dense: all entries)."""
        return int(self.weights.nnz) if self.is_sparse else math.prod(self.shape)

    def count_nonzero(self) -> int:
        """Count the non-zero weights that are edges (strict upper triangle of a symmetric block)."""
        if not self.is_sparse:
            return count_nonzero(self.weights, triangle=self.is_symmetric)
        if isinstance(self.weights, DeviceCsr):
            return count_nonzero((self.weights.upper() if self.is_symmetric else self.weights).data)
        edges: Any = sp.triu(self.weights, k=1) if self.is_symmetric else self.weights
        return int(np.count_nonzero(edges.data))

    def __repr__(self) -> str:
        storage = "csr" if self.is_sparse else "dense"
        marks = ("" if self.learned else ", not learned") + (", fixed support" if self.fixed_support else "")
        marks += "" if self.device == HOST else f", {self.device}"
        return f"Block({self.source} -> {self.target}, {self.shape[0]} x {self.shape[1]} {self.dtype} {storage}{marks})"
