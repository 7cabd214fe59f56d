"""An ``.h5`` file of weights without a configuration."""

from itertools import pairwise

from netspectra.bindings.keras.hdf5_file import Hdf5File
from netspectra.errors import FileFormatError
from netspectra.networks import Network, Operation, Skipped, Weight

__all__ = ["read_chain"]

_SAVE = "save the whole model, with model.save('model.keras') or model.save('model.h5'), not its weights alone"


def read_chain(file: Hdf5File, root: str) -> Network:
    """Read the matrices of a file that names its layers in order, as a chain.

    Raises
    ------
    FileFormatError
        If the file names no layers, or holds other kernels than matrices: only a configuration tells how those join.
    """
    names = file.texts(root, "layer_names")
    if names is None:
        missing = "no model_config, and no layer_names that would give their order"
        msg = f"{file.path}: expected a model with its configuration, got weights alone ({missing}); {_SAVE}"
        raise FileFormatError(msg)
    matrices: list[tuple[str, Weight]] = []
    skipped: list[Skipped] = []
    for name in names:
        group = f"{root}/{name}" if root else name
        for key in file.texts(group, "weight_names") or () if group in file.groups else ():
            weight = file.datasets.get(f"{group}/{key}")
            if weight is None or len(weight.shape) < 2:
                skipped.append(Skipped(f"{group}/{key}", "no matrix: it joins no layers"))
                continue
            matrices.append((name, weight))
    _require_chain(file, matrices)
    operations, tensor = [], "input"
    for i, (name, weight) in enumerate(matrices):
        shape, made = (1, weight.shape[1]), f"{name}:{i}"
        operations.append(
            Operation("dense", name, (tensor,), (made,), {"weight": weight}, {"orientation": "in-out"}, shape)
        )
        tensor = made
    inputs = {"input": (1, matrices[0][1].shape[0])}
    return Network(tuple(operations), inputs, {}, (tensor,), tuple(skipped), "keras")


def _require_chain(file: Hdf5File, matrices: list[tuple[str, Weight]]) -> None:
    if not matrices:
        msg = f"{file.path}: expected weights, got none; {_SAVE}"
        raise FileFormatError(msg)
    for (before, a), (name, b) in pairwise(matrices):
        if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[1] != b.shape[0]:
            came = f"{before!r} {a.shape} and {name!r} {b.shape}"
            msg = f"{file.path}: without a configuration, expected matrices that chain, got {came}; {_SAVE}"
            raise FileFormatError(msg)
    if any(len(weight.shape) != 2 for _, weight in matrices):
        msg = f"{file.path}: without a configuration, expected matrices, got {matrices[0][1].shape}; {_SAVE}"
        raise FileFormatError(msg)
