"""A model opened: its graph parsed, its weights left where they are, its size within the limits."""

import mmap
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netspectra.bindings.onnx.constants import Array, Constant
from netspectra.bindings.onnx.external import DataFolder, MappedFile
from netspectra.bindings.onnx.library import require_onnx
from netspectra.bindings.onnx.tensors import TensorReader
from netspectra.bindings.onnx.wire import Skeleton
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.errors import FileFormatError, NetspectraError

__all__ = ["Model", "open_model"]


@dataclass(frozen=True, eq=False)
class Model:
    """A parsed model.

    Attributes
    ----------
    source : str
        What messages call it.
    proto : onnx.ModelProto
        Without large payloads, where it comes from a file.
    parameters : mapping of str to Constant
        The graph's own tensors, not read.
    tensors : TensorReader
        For the tensors inside nodes.
    """

    source: str
    proto: Any
    parameters: Mapping[str, Constant]
    tensors: TensorReader


def open_model(model: Any, limits: LoadLimits) -> Model:
    """Open a model.

    Parameters
    ----------
    model : str, path-like or onnx.ModelProto
    limits : LoadLimits

    Raises
    ------
    FileFormatError
        If it is neither, or a file that holds no model.
    LimitError
        If it is larger than `limits` allow.
    BackendUnavailableError
        If the package `onnx` is missing.
    """
    onnx = require_onnx()
    if isinstance(model, onnx.ModelProto):
        return _described("the ModelProto", model, TensorReader("the ModelProto", limits, None), {})
    if not isinstance(model, str | os.PathLike):
        msg = f"expected the path of an .onnx file or an onnx.ModelProto, got {type(model).__name__}"
        raise FileFormatError(msg)
    path = Path(model)
    try:
        size = path.stat().st_size
        if not path.is_file():
            msg = f"{path}: expected a file, got {'a folder' if path.is_dir() else 'something else'}"
            raise FileFormatError(msg)
        with path.open("rb") as handle:
            proto, payloads = _parse(onnx, handle.fileno(), size, path, limits)
    except NetspectraError:
        raise
    except (OSError, ValueError) as error:
        msg = f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"
        raise FileFormatError(msg) from error
    mapped = MappedFile(path, size)
    readers = {position: (_reader(mapped, *place), place[1]) for position, place in payloads.items()}
    return _described(str(path), proto, TensorReader(str(path), limits, DataFolder(path)), readers)


def _parse(onnx: Any, file: int, size: int, path: Path, limits: LoadLimits) -> tuple[Any, dict[int, tuple[int, int]]]:
    limits.require("max_bytes", size, path, "its size in bytes")
    if size == 0:
        raise _wrong(path, "an empty file")
    proto = onnx.ModelProto()
    with mmap.mmap(file, size, access=mmap.ACCESS_READ) as data:
        try:
            skeleton = Skeleton(data, limits.max_header_bytes)
            proto.ParseFromString(skeleton.content)
        except Exception as error:
            raise _wrong(path, str(error) or type(error).__name__) from error
    return proto, skeleton.payloads


def _reader(file: MappedFile, offset: int, length: int) -> Callable[[], Array]:
    return lambda: file.range(offset, length)


def _described(
    source: str, proto: Any, tensors: TensorReader, payloads: Mapping[int, tuple[Callable[[], Array], int]]
) -> Model:
    if not proto.HasField("graph") or not proto.graph.node:
        raise _wrong(source, "no graph, or one without nodes")
    tensors.require("max_tensors", len(proto.graph.initializer), "the number of its tensors")
    tensors.require("max_tensors", len(proto.graph.node), "the number of its nodes")
    parameters: dict[str, Constant] = {}
    for position, tensor in enumerate(proto.graph.initializer):
        constant = tensors.constant(tensor, *payloads.get(position, ()))
        if constant.key in parameters or not constant.key:
            raise _wrong(
                source, f"the parameter {constant.key!r} twice" if constant.key else "a parameter without name"
            )
        parameters[constant.key] = constant
    tensors.require("max_bytes", sum(constant.n_bytes for constant in parameters.values()), "the size of its tensors")
    return Model(source, proto, parameters, tensors)


def _wrong(source: str | Path, came: str) -> FileFormatError:
    return FileFormatError(f"{source}: expected an ONNX model, got {came}; export it again or fetch a fresh copy")
