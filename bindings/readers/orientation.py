"""Which way the matrices of a file lie, decided once for all of them from the shapes that chain.

PyTorch and ONNX store (out, in), Keras and Flax (in, out). In a chain, each matrix's output side is the next one's
input side: for matrices that are not all square usually in one of the two orientations only.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from netspectra.bindings.readers.selection import TensorRecord, enumerate_some
from netspectra.errors import AmbiguousOrientationError, GraphError
from netspectra.graph.layer_graph import Orientation

__all__ = ["OrientationChoice", "decide_orientation"]

OrientationChoice = Literal["auto", "in-out", "out-in"]

_ORIENTATIONS: tuple[Orientation, ...] = ("in-out", "out-in")


def decide_orientation(matrices: Sequence[TensorRecord], orientation: OrientationChoice, path: Path) -> Orientation:
    """Return the orientation in which matrices, input side first, chain.

    Parameters
    ----------
    matrices : sequence of TensorRecord
        All 2-D.
    orientation : {"auto", "in-out", "out-in"}
        ``"auto"`` finds out; the others are checked.
    path : Path
        How an error message calls the file.

    Raises
    ------
    AmbiguousOrientationError
        If ``"auto"`` finds that both chain: a single matrix, only square ones, or a palindrome of sizes. What the file
        says of its origin is no proof (any framework may have written it), so it is not used to guess.
    GraphError
        If the orientation asked for does not chain, or none does, or it is none of the three.
    """
    require_orientation(orientation)
    fitting = [side for side in _ORIENTATIONS if _first_break(matrices, side) is None]
    if orientation == "auto":
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            msg = (
                f"{path}: the matrices chain both as (in, out) and as (out, in), so their orientation cannot be known: "
                f"{_shapes(matrices)}; pass orientation='out-in' (PyTorch, ONNX) or 'in-out' (Keras, Flax)"
            )
            raise AmbiguousOrientationError(msg)
        raise GraphError(_does_not_chain(matrices, "out-in", path, "in either orientation"))
    if orientation in fitting:
        return orientation
    raise GraphError(_does_not_chain(matrices, orientation, path, f"as {orientation!r}", flips=bool(fitting)))


def require_orientation(orientation: object) -> None:
    """Raise unless it is one of the three words.

    Raises
    ------
    GraphError
    """
    if orientation not in get_args(OrientationChoice):
        msg = f"orientation must be 'auto', 'in-out' or 'out-in', got {orientation!r}"
        raise GraphError(msg)


def _sides(matrix: TensorRecord, orientation: Orientation) -> tuple[int, int]:
    """(inputs, outputs) of a matrix."""
    rows, columns = matrix.shape
    return (rows, columns) if orientation == "in-out" else (columns, rows)


def _first_break(matrices: Sequence[TensorRecord], orientation: Orientation) -> int | None:
    for i in range(len(matrices) - 1):
        if _sides(matrices[i], orientation)[1] != _sides(matrices[i + 1], orientation)[0]:
            return i
    return None


def _does_not_chain(
    matrices: Sequence[TensorRecord], orientation: Orientation, path: Path, how: str, *, flips: bool = False
) -> str:
    position = _first_break(matrices, orientation) or 0
    pair = enumerate_some(f"{m.name!r} {m.shape}" for m in matrices[position : position + 2])
    if flips:
        flipped = "in-out" if orientation == "out-in" else "out-in"
        return f"{path}: the matrices do not chain {how} ({pair}), but they do as orientation={flipped!r}: pass that"
    return (
        f"{path}: expected weight matrices that chain, input side first, but they do not {how}: {_shapes(matrices)}; "
        f"name the right ones in the right order with order=[...] (read in natural order of the keys by default)"
    )


def _shapes(matrices: Sequence[TensorRecord]) -> str:
    return enumerate_some(f"{matrix.name!r} {matrix.shape}" for matrix in matrices)
