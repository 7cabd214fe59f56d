"""From a file to a layer graph: open, select, orient, check, build."""

import os
from collections.abc import Sequence

import numpy as np

from netspectra.bindings.readers.formats import open_tensors
from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.bindings.readers.orientation import OrientationChoice, decide_orientation, require_orientation
from netspectra.bindings.readers.selection import LoadReport, layer_names, select_weights
from netspectra.bindings.readers.tensors import TensorFile
from netspectra.graph import Block, Layer, LayerGraph
from netspectra.graph.arrays import as_weights
from netspectra.graph.layer_graph import Orientation

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    orientation: OrientationChoice = "auto",
    order: Sequence[str] | None = None,
    limits: LoadLimits | None = None,
) -> LayerGraph:
    """Read a network whose weight matrices form a chain.

    Every 2-D floating-point tensor is a weight matrix; biases, convolutions and whatever else the file holds are
    skipped, each named with the reason on the logger ``netspectra``.

    Parameters
    ----------
    path : str or path-like
        A ``.safetensors`` file, whose weights are used in place through a memory map, or an ``.npz`` archive, whose
        weights are unpacked into memory (never unpickled).
    orientation : {"auto", "in-out", "out-in"}, default "auto"
        How matrices are stored, decided once for the whole file: ``"out-in"`` is (n_out, n_in), PyTorch and ONNX;
        ``"in-out"`` is (n_in, n_out), Keras and Flax; ``"auto"`` finds out from the shapes that chain.
    order : sequence of str, optional
        Keys of exactly the matrices to read, input side first; by default all of them in natural order of the keys.
    limits : LoadLimits, optional
        Sizes beyond which a file is refused, before anything is allocated.

    Returns
    -------
    LayerGraph
        Its first layer is called ``input``, the others after the tensors that make them.

    Raises
    ------
    FileFormatError
        If the file is missing, of an unknown suffix, damaged, not what its suffix says, or holds no weight matrix.
    LimitError
        If it is larger than `limits` allow.
    AmbiguousOrientationError
        If the matrices chain in both orientations and `orientation` is ``"auto"``.
    GraphError
        If the matrices do not chain, hold NaN or infinite weights, or `order` names what is not there.
    """
    require_orientation(orientation)
    with open_tensors(path, as_limits(limits)) as file:
        report = select_weights(file, order)
        report.log()
        side = decide_orientation(report.taken, orientation, file.path)
        return _build(file, report, side)


def _build(file: TensorFile, report: LoadReport, side: Orientation) -> LayerGraph:
    names = [record.name for record in report.taken]
    matrices = []
    for name in names:
        # Checked as it is stored, before the transposed view: one pass over the file, in the order of the file.
        weights = np.asarray(as_weights(file.tensors[name].read(), f"{file.path}: tensor {name!r}"))
        matrices.append(weights if side == "in-out" else weights.T)
    sizes = [int(matrices[0].shape[0]), *(int(matrix.shape[1]) for matrix in matrices)]
    layers = [Layer(label, size) for label, size in zip(layer_names(names), sizes, strict=True)]
    blocks = [Block.of_checked(i, i + 1, matrix) for i, matrix in enumerate(matrices)]
    return LayerGraph.from_blocks(layers, blocks)
