"""Which tensors of a file are weight matrices, in which order, and what became of all the others."""

import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netspectra.bindings.readers.tensors import Tensor, TensorFile
from netspectra.errors import FileFormatError, GraphError

__all__ = ["LoadReport", "SkippedTensor", "TensorRecord", "layer_names", "natural_key", "select_weights"]

_LOGGER = logging.getLogger("netspectra")

_DIGITS = re.compile(r"([0-9]+)")
_ROLE = re.compile(r"[./](weight|kernel)(:0)?$")

_NOT_NAMED = "not named in order="


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """A tensor that is read as weights: its key, its shape as stored, and what its elements are."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class SkippedTensor:
    """A tensor that is not read, and why; `is_suspect` where it may well hold weights that the caller expects."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    reason: str
    is_suspect: bool = False


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was taken from a file, in layer order, and what was left, with the reasons.

    Attributes
    ----------
    path : str
    taken : tuple of TensorRecord
    skipped : tuple of SkippedTensor
    """

    path: str
    taken: tuple[TensorRecord, ...]
    skipped: tuple[SkippedTensor, ...]

    def log(self) -> None:
        """Name every skipped tensor at level INFO, and those that look like weights in one WARNING."""
        for skipped in self.skipped:
            _LOGGER.info("%s: skipped %r %s (%s)", self.path, skipped.name, skipped.shape, skipped.reason)
        suspects = [skipped for skipped in self.skipped if skipped.is_suspect]
        if suspects:
            listed = enumerate_some(f"{skipped.name!r} {skipped.shape}: {skipped.reason}" for skipped in suspects)
            _LOGGER.warning("%s: skipped %d tensor(s) that may be weights: %s", self.path, len(suspects), listed)


def select_weights(file: TensorFile, order: Sequence[str] | None) -> LoadReport:
    """Choose the tensors that are weight matrices, and their order.

    Parameters
    ----------
    file : TensorFile
    order : sequence of str, optional
        Exactly the tensors to read, input side first. By default every 2-D floating-point tensor, in natural order of
        the keys (``layers.10`` after ``layers.2``).

    Raises
    ------
    GraphError
        If `order` names a tensor that is not there, that is no matrix of real numbers, or twice the same.
    FileFormatError
        If the file holds no weight matrix.
    """
    reasons = {name: _why_not(tensor) for name, tensor in file.tensors.items()}
    if order is None:
        chosen = sorted((name for name, reason in reasons.items() if reason is None), key=natural_key)
    else:
        chosen = _checked_order(file, order)
        reasons = {name: reason or _NOT_NAMED for name, reason in reasons.items()}
    skipped = [_skip(file.tensors[name], reasons[name]) for name in sorted(reasons.keys() - chosen, key=natural_key)]
    skipped += [SkippedTensor(name, (), "?", reason) for name, reason in file.unread]
    if not chosen:
        listed = enumerate_some(f"{s.name!r} {s.shape}: {s.reason}" for s in skipped) or "the file is empty"
        msg = f"{file.path}: expected at least one 2-D floating-point weight matrix, got none ({listed})"
        raise FileFormatError(msg)
    taken = (TensorRecord(name, file.tensors[name].shape, file.tensors[name].stored) for name in chosen)
    return LoadReport(os.fspath(file.path), tuple(taken), tuple(skipped))


def natural_key(name: str) -> tuple[list[object], str]:
    """Sort key under which numbers inside names compare as numbers: ``layers.2`` before ``layers.10``."""
    parts = _DIGITS.split(name)  # text, digits, text, digits, …: positions of one kind meet their like
    numbers = [(len(digits), digits) for digits in (part.lstrip("0") for part in parts[1::2])]
    return _interleave(parts[0::2], numbers), name


def layer_names(names: Sequence[str]) -> list[str]:
    """Names of the layers of a chain: ``input``, then for each matrix its key without ``.weight`` or ``/kernel``.

    Layer `i` > 0 is made by matrix `i - 1`. Where shortening would make two names equal, full keys are used.
    """
    short = [_ROLE.sub("", name) or name for name in names]
    outputs = short if len(set(short)) == len(short) else list(names)
    first = "input"
    while first in outputs:
        first += "_"
    return [first, *outputs]


def enumerate_some(items: Iterable[str], most: int = 8) -> str:
    """List items in one line, at most so many of them."""
    listed = list(items)
    more = [f"and {len(listed) - most} more"] if len(listed) > most else []
    return "; ".join([*listed[:most], *more])


def _why_not(tensor: Tensor) -> str | None:
    """Return why a tensor is not taken for a weight matrix, None where it is."""
    n_dimensions, kind = len(tensor.shape), "" if tensor.dtype is None else tensor.dtype.kind
    reasons = (
        (0 in tensor.shape, "empty"),
        (n_dimensions == 0, "a scalar"),
        (n_dimensions == 1, "1-D: a bias, a scale or a statistic"),
        (tensor.dtype is None, f"{tensor.stored}: nothing that weights are read from"),
        (n_dimensions > 2, f"{n_dimensions}-D: only matrices of dense layers are read"),
        (kind in ("b", "i", "u"), f"{tensor.stored}: taken for weights only if order= names it"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _checked_order(file: TensorFile, order: Sequence[str]) -> list[str]:
    if isinstance(order, str) or not all(isinstance(name, str) for name in order) or not order:
        msg = f"order must be a non-empty list of tensor names, got {order!r}"
        raise GraphError(msg)
    for position, name in enumerate(order):
        tensor = file.tensors.get(name)
        if tensor is None:
            matrices = (repr(other.name) for other in file.tensors.values() if len(other.shape) == 2)
            listed = enumerate_some(sorted(matrices, key=natural_key)) or "none"
            msg = f"{file.path}: order names {name!r}, which is not in the file; its matrices are: {listed}"
            raise GraphError(msg)
        if tensor.dtype is None or len(tensor.shape) != 2 or 0 in tensor.shape:
            msg = (
                f"{file.path}: order names {name!r}, expected a 2-D tensor of real numbers, got {tensor.stored} of "
                f"shape {tensor.shape}"
            )
            raise GraphError(msg)
        if name in order[:position]:
            msg = f"order must name each tensor once, got {name!r} twice"
            raise GraphError(msg)
    return list(order)


def _skip(tensor: Tensor, reason: str | None) -> SkippedTensor:
    suspect = len(tensor.shape) >= 2 and 0 not in tensor.shape and reason != _NOT_NAMED
    is_pickle = tensor.dtype is None and tensor.stored.startswith("Python objects")
    return SkippedTensor(tensor.name, tensor.shape, tensor.stored, reason or _NOT_NAMED, suspect or is_pickle)


def _interleave(texts: list[str], numbers: list[tuple[int, str]]) -> list[object]:
    mixed: list[object] = [texts[0]]
    for number, text in zip(numbers, texts[1:], strict=True):
        mixed += [number, text]
    return mixed
