"""The layer graph: the one description of a network that everything in netspectra works on."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import array_api_compat
import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.arrays import as_weights, is_sparse
from netspectra.graph.block import Block
from netspectra.graph.consistency import (
    Orientation,
    asymmetry,
    has_diagonal,
    layer_names,
    require_chain,
    require_layers,
    require_one_device,
    resolve_block,
)
from netspectra.graph.device import HOST
from netspectra.graph.dtypes import widest_dtype
from netspectra.graph.layer import Layer

__all__ = ["LayerGraph", "Orientation"]


@dataclass(frozen=True, eq=False, repr=False)
class LayerGraph:
    """An undirected weighted graph of neurons: layers of nodes and blocks of weights between them.

    Node order is layer order. Blocks are sorted by (source, target); a block's position in :attr:`blocks` is its number
    in the random keys of the null models. Immutable. Build it with :meth:`from_weights`, :meth:`from_blocks` or
    :meth:`from_adjacency`.

    Attributes
    ----------
    layers : tuple of Layer
    blocks : tuple of Block
    device : str
        Where all weights are: ``"cpu"``, ``"cuda:0"``, or what their library calls its device.
    """

    layers: tuple[Layer, ...]
    blocks: tuple[Block, ...]
    device: str = field(init=False)

    def __post_init__(self) -> None:
        layers = tuple(self.layers)
        require_layers(layers)
        blocks = [resolve_block(block, layers) for block in self.blocks]
        if not blocks:
            msg = "a graph needs at least one block of weights, got none"
            raise GraphError(msg)
        blocks.sort(key=lambda block: (block.source, block.target))
        object.__setattr__(self, "layers", layers)
        object.__setattr__(self, "blocks", tuple(blocks))
        object.__setattr__(self, "device", require_one_device(blocks, layers))

    @classmethod
    def from_weights(
        cls,
        weights: Iterable[object],
        orientation: Orientation = "in-out",
        names: Sequence[str] | None = None,
    ) -> "LayerGraph":
        """Chain of layers from a multi-layer perceptron's weight matrices, input side first.

        Parameters
        ----------
        weights : iterable of 2-D arrays
            One per pair of consecutive layers; dense or sparse, signed; on the host or all on one device, where they
            stay. Biases are not part of the graph.
        orientation : {"in-out", "out-in"}, default "in-out"
            ``"in-out"``: shape (n_in, n_out), as Keras and Flax store them; ``"out-in"``: (n_out, n_in), as PyTorch
            and ONNX do (a transposed view is taken, nothing is copied).
        names : sequence of str, optional
            One name per layer (one more than there are matrices).

        Raises
        ------
        GraphError
            If the list is empty or the shapes do not chain; the message says when they would in the other orientation.
        """
        if orientation not in ("in-out", "out-in"):
            msg = f"orientation must be 'in-out' or 'out-in', got {orientation!r}"
            raise GraphError(msg)
        if is_sparse(weights) or getattr(weights, "ndim", None) == 2:
            msg = "weights must be a list of 2-D arrays, got a single 2-D array; write [weights]"
            raise GraphError(msg)
        stack: Any = weights
        if array_api_compat.is_array_api_obj(stack) and stack.ndim == 3:
            weights = [stack[i, ...] for i in range(stack.shape[0])]  # the standard does not promise iteration
        if isinstance(weights, str | Mapping) or not isinstance(weights, Iterable):
            hint = "; pass its 2-D weight matrices in order, or let netspectra.load read a file" * hasattr(
                weights, "keys"
            )
            msg = f"weights must be a list of 2-D arrays, got {type(weights).__name__}{hint}"
            raise GraphError(msg)
        arrays = [as_weights(w, f"weights[{i}]") for i, w in enumerate(weights)]
        if not arrays:
            msg = "weights must hold at least one weight matrix, got an empty list"
            raise GraphError(msg)
        require_chain(arrays, orientation)
        if orientation == "out-in":
            arrays = [as_weights(a.T, f"weights[{i}]") if is_sparse(a) else a.T for i, a in enumerate(arrays)]
        sizes = [int(arrays[0].shape[0]), *(int(a.shape[1]) for a in arrays)]
        labels = layer_names(names, len(sizes))
        layers = tuple(Layer(name, size) for name, size in zip(labels, sizes, strict=True))
        return cls(layers, tuple(Block.of_checked(i, i + 1, a) for i, a in enumerate(arrays)))

    @classmethod
    def from_blocks(cls, layers: Iterable[Layer], blocks: Iterable[Block]) -> "LayerGraph":
        """Graph from explicit layers and blocks: skips, residual streams, any (source, target), several per pair.

        Raises
        ------
        GraphError
            If a block names a layer that does not exist or its shape is not (source size, target size).
        """
        graph = cls(tuple(layers), tuple(blocks))
        _warn_of_self_loops(graph)
        return graph

    @classmethod
    def from_adjacency(cls, A: object, names: Sequence[str] | None = None) -> "LayerGraph":
        """Graph of one layer from a symmetric adjacency matrix, dense or sparse; edge weight ``|A[i, j]|``.

        Parameters
        ----------
        A : array_like or scipy.sparse array, shape (n, n)
            On the host or on a device, where it stays.
            Symmetric; a non-zero diagonal is ignored with a warning, as SciPy and scikit-learn do.
        names : sequence of one str, optional
            The layer's name, default ``"nodes"``.

        Raises
        ------
        GraphError
            If `A` is not square or not symmetric.
        """
        array: Any = as_weights(A, "A")
        rows, cols = array.shape
        if rows != cols:
            msg = f"A must be a square adjacency matrix, got shape {tuple(array.shape)}"
            raise GraphError(msg)
        worst, scale = asymmetry(array)
        if worst > 1e-6 * scale:
            msg = f"A must be symmetric, got entries that differ by {worst:.3g} from their mirror; try (A + A.T) / 2"
            raise GraphError(msg)
        label = layer_names(names, 1, default="nodes")[0]
        graph = cls((Layer(label, int(rows), "nodes"),), (Block.of_checked(0, 0, array),))
        _warn_of_self_loops(graph)
        return graph

    @property
    def n_nodes(self) -> int:
        """Number of nodes over all layers."""
        return int(self.offsets[-1])

    @cached_property
    def offsets(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """First node of each layer, then the number of nodes; shape (n_layers + 1,), int64."""
        offsets = np.concatenate([[0], np.cumsum([layer.size for layer in self.layers])]).astype(np.int64)
        offsets.flags.writeable = False
        return offsets

    @cached_property
    def n_edges(self) -> int:
        """Number of edges: non-zero weights over all blocks."""
        return sum(block.count_nonzero() for block in self.blocks)

    @property
    def n_stored(self) -> int:
        """Stored weights over all blocks (a dense block stores its zeros)."""
        return sum(block.n_stored for block in self.blocks)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Widest storage dtype among the blocks."""
        return widest_dtype([block.dtype for block in self.blocks])

    def layer_slice(self, index: int) -> slice:
        """Positions of layer `index`'s nodes in node order."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def __repr__(self) -> str:
        sizes = [str(layer.size) for layer in self.layers]
        shown = "-".join(sizes if len(sizes) <= 12 else [*sizes[:5], "…", *sizes[-5:]])
        where = "" if self.device == HOST else f", {self.device}"
        return f"LayerGraph({shown}: {self.n_nodes} nodes, {len(self.blocks)} blocks, {self.dtype}{where})"


def _warn_of_self_loops(graph: LayerGraph) -> None:
    """Warn the caller of a public constructor; graphs that are derived from its graph come without."""
    for block in graph.blocks:
        if block.is_symmetric and has_diagonal(block.weights):
            name = graph.layers[int(block.source)].name
            msg = f"block {name} -> itself: the non-zero diagonal (self-loops) is ignored"
            warnings.warn(msg, UserWarning, stacklevel=3)
