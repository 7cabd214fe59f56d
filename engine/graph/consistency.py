"""What makes layers and blocks a graph: names, shapes that chain, symmetry; each message says what to do."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import array_api_compat
import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError
from netspectra.graph.arrays import Weights
from netspectra.graph.block import Block
from netspectra.graph.device import current_device
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.layer import Layer

__all__ = [
    "Orientation",
    "asymmetry",
    "has_diagonal",
    "layer_names",
    "require_chain",
    "require_layers",
    "require_one_device",
    "resolve_block",
]

Orientation = Literal["in-out", "out-in"]
_TILE = 512
_DEVICE_TILE = 4096


def layer_names(names: Sequence[str] | None, count: int, default: str | None = None) -> list[str]:
    """Return one name per layer."""
    if names is None:
        return [default] if default is not None else [f"layer{i}" for i in range(count)]
    labels = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    if len(labels) != count:
        msg = f"names: expected one name per layer ({count}), got {len(labels)}"
        raise GraphError(msg)
    return labels


def require_layers(layers: tuple[Any, ...]) -> None:
    """Refuse anything but at least one layer, with distinct names."""
    if not layers:
        msg = "a graph needs at least one layer, got none"
        raise GraphError(msg)
    for layer in layers:
        if not isinstance(layer, Layer):
            msg = f"layers must be Layer objects, got {type(layer).__name__}; write Layer(name, size)"
            raise GraphError(msg)
    names = [layer.name for layer in layers]
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        msg = f"layer names must be unique, got {twice!r} more than once"
        raise GraphError(msg)


def require_chain(arrays: "list[Any]", orientation: Orientation) -> None:
    """Refuse shapes that do not chain; the message says whether they would in the other orientation."""
    shapes = [tuple(int(s) for s in a.shape) for a in arrays]
    own = shapes if orientation == "in-out" else [s[::-1] for s in shapes]
    for i in range(len(own) - 1):
        if own[i][1] != own[i + 1][0]:
            other = [s[::-1] for s in own]
            chains = all(other[j][1] == other[j + 1][0] for j in range(len(other) - 1))
            flipped = "out-in" if orientation == "in-out" else "in-out"
            hint = (
                f"they do chain the other way: pass orientation={flipped!r}"
                if chains
                else "check their order, or use LayerGraph.from_blocks for networks that are not a chain"
            )
            msg = (
                f"weights[{i}] and weights[{i + 1}] do not chain as {orientation!r}: shapes {shapes[i]} and "
                f"{shapes[i + 1]}; {hint}"
            )
            raise GraphError(msg)


def resolve_block(block: Any, layers: tuple[Layer, ...]) -> Block:
    """Return a block whose ends are positions of layers, its shape checked against their sizes."""
    if not isinstance(block, Block):
        msg = f"blocks must be Block objects, got {type(block).__name__}; write Block(source, target, weights)"
        raise GraphError(msg)
    source, target = (_layer_index(end, layers) for end in (block.source, block.target))
    expected = (layers[source].size, layers[target].size)
    if block.shape != expected:
        chains = " (its transpose would fit: rows belong to the source layer)" if block.shape == expected[::-1] else ""
        msg = (
            f"block {layers[source].name} -> {layers[target].name}: expected weights of shape {expected}, got "
            f"{block.shape}{chains}"
        )
        raise GraphError(msg)
    if (source, target) == (block.source, block.target):
        return block
    return Block.of_checked(source, target, block.weights, learned=block.learned, fixed_support=block.fixed_support)


def require_one_device(blocks: Sequence[Block], layers: tuple[Layer, ...]) -> str:
    """Return the device that all blocks are on; the message names one block of each."""
    first = {block.device: block for block in reversed(blocks)}
    if len(first) > 1:
        found = "; ".join(
            f"block {layers[int(block.source)].name} -> {layers[int(block.target)].name} is on {device}"
            for device, block in sorted(first.items())
        )
        msg = (
            f"the blocks of a graph must be on one device: {found}; copy them to one first, e.g. cupy.asarray(w) or "
            "w.cuda() puts weights on a GPU, w.get() of CuPy or w.cpu() of PyTorch brings them to the host"
        )
        raise GraphError(msg)
    return next(iter(first))


def asymmetry(A: Weights) -> tuple[float, float]:
    """Largest ``|A - A^T|`` and largest ``|A|`` of a square matrix, tile by tile where it is dense."""
    if isinstance(A, sp.csr_array):
        difference: Any = abs(A - A.T)
        return (float(difference.max()), float(abs(A).max())) if A.shape[0] else (0.0, 0.0)
    if isinstance(A, DeviceCsr):
        with current_device(A.data):
            return A.asymmetry()
    xp, tile = array_api_compat.array_namespace(A), _TILE if isinstance(A, np.ndarray) else _DEVICE_TILE
    worst = scale = 0.0
    with current_device(A):
        spans = [slice(i, min(i + tile, A.shape[0])) for i in range(0, A.shape[0], tile)]
        for number, i in enumerate(spans):
            for j in spans[number:]:
                here = xp.astype(A[i, j], xp.float64)
                mirror = xp.matrix_transpose(xp.astype(A[j, i], xp.float64))
                scale = max(scale, float(xp.max(xp.abs(here))), float(xp.max(xp.abs(mirror))))
                with np.errstate(over="ignore"):
                    worst = max(worst, float(xp.max(xp.abs(here - mirror))))
    return worst, scale


def has_diagonal(A: Weights) -> bool:
    """Whether any diagonal entry of a square matrix is not zero."""
    if isinstance(A, DeviceCsr):
        with current_device(A.data):
            own = A.rows == A.xp.astype(A.indices, A.xp.int64)
            return bool(A.xp.any(own & (A.data != 0)))
    if isinstance(A, sp.csr_array | np.ndarray):
        return bool(np.any(A.diagonal()))
    xp = array_api_compat.array_namespace(A)
    with current_device(A):
        return bool(xp.any(xp.linalg.diagonal(A) != 0))


def _layer_index(end: Any, layers: tuple[Layer, ...]) -> int:
    if isinstance(end, str):
        for index, layer in enumerate(layers):
            if layer.name == end:
                return index
        msg = f"a block names layer {end!r}, but the layers are {[layer.name for layer in layers]}"
        raise GraphError(msg)
    if isinstance(end, bool) or not isinstance(end, int | np.integer) or not 0 <= end < len(layers):
        msg = f"a block names layer {end!r}, but there are {len(layers)} layers (0 to {len(layers) - 1})"
        raise GraphError(msg)
    return int(end)
