"""What joins what in a penalty: layers and edges of the graph from the shapes of the weights alone.

A dense weight is a block as it stands: the graph is undirected, so an orientation only says which axis belongs to which
layer. A convolution's kernel becomes a block of channels (:mod:`netspectra.training.channel_weights`).
"""

from collections.abc import Sequence
from typing import Any, get_args

from netspectra.errors import GraphError
from netspectra.graph.batch import Structure
from netspectra.graph.consistency import Orientation
from netspectra.validation import require_choice

__all__ = ["Edges", "Shapes", "wire"]

Shapes = tuple[tuple[int, ...], ...]
Edges = tuple[tuple[int, int], ...]


def wire(shapes: Shapes, edges: Any, orientation: Orientation) -> Structure:
    """Structure of the graph whose block i is weight i, in the axes that its values will have.

    Parameters
    ----------
    shapes : tuple of shapes
        Dense ``(n_in, n_out)`` or convolution ``(*spatial, n_in, n_out)``; ``"out-in"``: ``(n_out, n_in, *spatial)``.
    edges : sequence of (source, target), or None
        Layer numbers that each weight reads from and writes to; None: a chain.
    orientation : {"in-out", "out-in"}

    Raises
    ------
    GraphError
        If the shapes do not fit together; the message names the weights.
    """
    require_choice("orientation", orientation, get_args(Orientation))
    if not shapes:
        msg = "weights must hold the weights of at least one layer, got an empty list"
        raise GraphError(msg)
    for i, shape in enumerate(shapes):
        if len(shape) < 2 or 0 in shape:
            msg = f"weights[{i}]: expected a dense layer's matrix or a convolution's kernel, not empty, got {shape}"
            raise GraphError(msg)
    fans = [shape[1::-1] if orientation == "out-in" else shape[-2:] for shape in shapes]
    pairs = tuple((i, i + 1) for i in range(len(shapes))) if edges is None else _checked_edges(edges, len(shapes))
    sizes = _layer_sizes(shapes, fans, pairs, orientation)
    flipped = orientation == "out-in"
    ends = [pair[::-1] if flipped and len(shape) == 2 else pair for pair, shape in zip(pairs, shapes, strict=True)]
    return Structure(tuple(sizes), tuple((int(a), int(b)) for a, b in ends))


def _checked_edges(edges: Any, n_weights: int) -> Edges:
    whole = isinstance(edges, Sequence) and len(edges) > 0 and all(_is_pair(pair) for pair in edges)
    if not whole:
        msg = (
            f"edges must be a list of (source, target) layer numbers, one per weight, or None (a chain), got {edges!r}"
        )
        raise GraphError(msg)
    pairs = [(int(source), int(target)) for source, target in edges]
    if len(pairs) != n_weights:
        msg = f"edges must hold one (source, target) per weight ({n_weights}), got {len(pairs)}"
        raise GraphError(msg)
    for i, (source, target) in enumerate(pairs):
        if source == target:
            msg = f"edges[{i}]: a weight must join two different layers, got ({source}, {target})"
            raise GraphError(msg)
    used = {end for pair in pairs for end in pair}
    if missing := sorted(set(range(max(used))) - used):
        msg = f"edges: layers are numbered from 0 without gaps, but no edge names layer {missing[0]}"
        raise GraphError(msg)
    return tuple(pairs)


def _is_pair(pair: Any) -> bool:
    whole = isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2
    return whole and all(isinstance(end, int) and not isinstance(end, bool) and end >= 0 for end in pair)


def _layer_sizes(shapes: Shapes, fans: list[tuple[int, ...]], pairs: Edges, orientation: str) -> list[int]:
    sizes: dict[int, tuple[int, int]] = {}
    for i, (pair, fan) in enumerate(zip(pairs, fans, strict=True)):
        for layer, size in zip(pair, fan, strict=True):
            known, where = sizes.setdefault(layer, (size, i))
            if known != size:
                raise GraphError(_misfit(shapes, (layer, where, known, i, size), orientation))
    return [sizes[layer][0] for layer in range(len(sizes))]


def _misfit(shapes: Shapes, fault: tuple[int, int, int, int, int], orientation: str) -> str:
    layer, first, known, second, size = fault
    other = "out-in" if orientation == "in-out" else "in-out"
    hint = f"check their order, the orientation (these are {orientation!r}, the other one is {other!r}), or pass edges"
    if len(shapes[first]) > 2 and len(shapes[second]) == 2 and size % known == 0:
        hint = (
            f"a flatten stands between a convolution of {known} channels and a dense layer of {size} inputs: leave the "
            "dense layers out, or give them a penalty of their own"
        )
    return (
        f"weights[{first}] and weights[{second}] do not fit together at layer {layer}: {known} units against {size} "
        f"(shapes {shapes[first]} and {shapes[second]}); {hint}"
    )
