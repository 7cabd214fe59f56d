"""Which way the weights of a file lie, decided once for all of them from the shapes that chain.

PyTorch and ONNX store (out, in), Keras and Flax (in, out). In a chain, each matrix's output side is the next one's
input side: for matrices that are not all square usually in one of the two orientations only. Where kernels of
convolutions chain both ways, they lie so that they are square and small: 3 x 3 positions and 64 x 128 channels.
"""

from collections.abc import Sequence
from typing import Literal, get_args

from netspectra.bindings.readers.chain_shapes import follow, kernel_sizes
from netspectra.bindings.readers.selection import TensorRecord, enumerate_some
from netspectra.errors import AmbiguousOrientationError, GraphError
from netspectra.graph.layer_graph import Orientation

__all__ = ["OrientationChoice", "chaining", "decide_orientation", "require_orientation"]

OrientationChoice = Literal["auto", "in-out", "out-in"]

_ORIENTATIONS: tuple[Orientation, ...] = ("in-out", "out-in")


def chaining(weights: Sequence[TensorRecord]) -> list[Orientation]:
    """Return the orientations in which weights, input side first, chain; kernels as small as they can be."""
    fitting = [side for side in _ORIENTATIONS if len(follow(weights, side)) == len(weights)]
    if len(fitting) == 2:
        sizes = [kernel_sizes(weights, side) for side in fitting]
        if sizes[0] != sizes[1]:
            return [fitting[sizes.index(min(sizes))]]
    return fitting


def decide_orientation(
    weights: Sequence[TensorRecord], orientation: OrientationChoice, label: str, advice: str = ""
) -> Orientation:
    """Return the orientation in which weights, input side first, chain.

    Parameters
    ----------
    weights : sequence of TensorRecord
        Matrices and kernels.
    orientation : {"auto", "in-out", "out-in"}
        ``"auto"`` finds out; the others are checked.
    label : str
        How an error message calls the file.
    advice : str
        What else can be done where they do not chain.

    Raises
    ------
    AmbiguousOrientationError
        If ``"auto"`` finds that both chain: a single matrix, only square ones, or a palindrome of sizes. What the file
        says of its origin is no proof (any framework may have written it), so it is not used to guess.
    GraphError
        If the orientation asked for does not chain, or none does, or it is none of the three.
    """
    require_orientation(orientation)
    if orientation != "auto":
        if len(follow(weights, orientation)) == len(weights):
            return orientation
        flipped: Orientation = "in-out" if orientation == "out-in" else "out-in"
        flips = flipped in chaining(weights)
        raise GraphError(_does_not_chain(weights, orientation, label, f"as {orientation!r}", advice, flips=flips))
    fitting = chaining(weights)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        msg = (
            f"{label}: the matrices chain both as (in, out) and as (out, in), so their orientation cannot be known: "
            f"{_shapes(weights)}; pass orientation='out-in' (PyTorch, ONNX) or 'in-out' (Keras, Flax)"
        )
        raise AmbiguousOrientationError(msg)
    raise GraphError(_does_not_chain(weights, "out-in", label, "in either orientation", advice))


def require_orientation(orientation: object) -> None:
    """Raise unless it is one of the three words.

    Raises
    ------
    GraphError
    """
    if orientation not in get_args(OrientationChoice):
        msg = f"orientation must be 'auto', 'in-out' or 'out-in', got {orientation!r}"
        raise GraphError(msg)


def _does_not_chain(
    weights: Sequence[TensorRecord],
    orientation: Orientation,
    label: str,
    how: str,
    advice: str,
    *,
    flips: bool = False,
) -> str:
    place = max(1, len(follow(weights, orientation)))
    pair = enumerate_some(f"{w.name!r} {w.shape}" for w in weights[place - 1 : place + 1])
    if flips:
        flipped = "in-out" if orientation == "out-in" else "out-in"
        return f"{label}: the matrices do not chain {how} ({pair}), but they do as orientation={flipped!r}: pass that"
    return (
        f"{label}: expected weight matrices that chain, input side first, but they do not {how}: {_shapes(weights)}; "
        "name the right ones in the right order with order=[...] (read in natural order of the keys by default)"
        f"{advice}"
    )


def _shapes(weights: Sequence[TensorRecord]) -> str:
    return enumerate_some(f"{weight.name!r} {weight.shape}" for weight in weights)
