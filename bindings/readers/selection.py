"""Which tensors of a collection are weights, in which order, and what became of all the others."""

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from netspectra.bindings.readers.tensors import Tensor, TensorFile
from netspectra.errors import FileFormatError, GraphError
from netspectra.networks import Network, Skipped

__all__ = [
    "CONSTANT",
    "NOT_NAMED",
    "LoadReport",
    "SkippedTensor",
    "TensorRecord",
    "enumerate_some",
    "layer_names",
    "natural_key",
    "report_of",
    "report_of_names",
    "select_weights",
    "why_not",
    "with_more_skipped",
]

_LOGGER = logging.getLogger("netspectra")

_DIGITS = re.compile(r"([0-9]+)")
_ROLE = re.compile(r"[./](weight|kernel)(:0)?$")

NOT_NAMED = "not named in order="
CONSTANT = "a constant"
"""How the reason begins where nothing is lost: position embeddings, masks, buffers."""

_MOST_DIMENSIONS = 5
"""Of a kernel: three axes of positions, two of channels."""


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


def select_weights(tensors: Mapping[str, Tensor], order: Sequence[str] | None, label: str) -> list[str]:
    """Choose the tensors that are matrices of dense layers or kernels of convolutions, and their order.

    Parameters
    ----------
    tensors : mapping of str to Tensor
    order : sequence of str, optional
        Exactly the weights to read, input side first. By default every floating-point tensor of 2 to 5 dimensions, in
        natural order of the keys (``layers.10`` after ``layers.2``), kernels before matrices.
    label : str
        How messages call the collection.

    Raises
    ------
    GraphError
        If `order` names a tensor that is not there, that holds no such weights, or twice the same.
    FileFormatError
        If there are no weights.
    """
    if order is not None:
        return _checked_order(tensors, order, label)
    reasons = {name: why_not(tensor) for name, tensor in tensors.items()}
    chosen = sorted((name for name, reason in reasons.items() if reason is None), key=natural_key)
    chosen.sort(key=lambda name: len(tensors[name].shape) == 2)  # classifiers come after what they classify
    if not chosen:
        skipped = ((name, tensors[name].shape, reasons[name]) for name in sorted(reasons, key=natural_key))
        listed = enumerate_some(f"{name!r} {shape}: {reason}" for name, shape, reason in skipped) or "the file is empty"
        msg = f"{label}: expected at least one 2-D floating-point weight matrix, got none ({listed})"
        raise FileFormatError(msg)
    return chosen


def report_of(path: str, network: Network, file: TensorFile | None = None) -> LoadReport:
    """Return what a network took, in the order of its operations, and what it left."""
    tensors = {} if file is None else file.tensors
    weights = {w.key: w for operation in network.operations for w in operation.weights.values() if w.key}
    taken = tuple(
        TensorRecord(key, tensors[key].shape, tensors[key].stored)
        if key in tensors
        else TensorRecord(key, weight.shape, weight.dtype.name)
        for key, weight in weights.items()
    )
    skipped = [_skip(tensors.get(s.name), s) for s in network.skipped]
    skipped += [SkippedTensor(name, (), "?", reason) for name, reason in (() if file is None else file.unread)]
    return LoadReport(path, taken, tuple(skipped))


def report_of_names(path: str, file: TensorFile, names: Sequence[str]) -> LoadReport:
    """Return the report of tensors that no network could be made of yet."""
    left = sorted(file.tensors.keys() - set(names), key=natural_key)
    reasons = {name: why_not(file.tensors[name]) or NOT_NAMED for name in left}
    skipped = [_skip(file.tensors[name], Skipped(name, reason)) for name, reason in reasons.items()]
    skipped += [SkippedTensor(name, (), "?", reason) for name, reason in file.unread]
    taken = (TensorRecord(name, file.tensors[name].shape, file.tensors[name].stored) for name in names)
    return LoadReport(path, tuple(taken), tuple(skipped))


def with_more_skipped(report: LoadReport, skipped: Iterable[Skipped]) -> LoadReport:
    """Return a report with what the graph does not show beside what the network does not have."""
    known = {(s.name, s.reason) for s in report.skipped}
    more = [SkippedTensor(s.name, (), "-", s.reason) for s in skipped if (s.name, s.reason) not in known]
    return replace(report, skipped=(*report.skipped, *more))


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


def why_not(tensor: Tensor) -> str | None:
    """Return why a tensor is not taken for the weights of a layer, None where it is."""
    n_dimensions, kind = len(tensor.shape), "" if tensor.dtype is None else tensor.dtype.kind
    reasons = (
        (0 in tensor.shape, "empty"),
        (n_dimensions == 0, "a scalar"),
        (n_dimensions == 1, "1-D: a bias, a scale or a statistic"),
        (tensor.dtype is None, f"{tensor.stored}: nothing that weights are read from"),
        (n_dimensions > _MOST_DIMENSIONS, f"{n_dimensions}-D: neither a matrix nor the kernel of a convolution"),
        (kind in ("b", "i", "u"), f"{tensor.stored}: taken for weights only if order= names it"),
    )
    return next((reason for applies, reason in reasons if applies), None)


def _checked_order(tensors: Mapping[str, Tensor], order: Sequence[str], label: str) -> list[str]:
    if isinstance(order, str) or not all(isinstance(name, str) for name in order) or not order:
        msg = f"order must be a non-empty list of tensor names, got {order!r}"
        raise GraphError(msg)
    for position, name in enumerate(order):
        tensor = tensors.get(name)
        if tensor is None:
            matrices = (repr(other.name) for other in tensors.values() if 2 <= len(other.shape) <= _MOST_DIMENSIONS)
            listed = enumerate_some(sorted(matrices, key=natural_key)) or "none"
            msg = f"{label}: order names {name!r}, which is not in the file; its matrices are: {listed}"
            raise GraphError(msg)
        if tensor.dtype is None or not 2 <= len(tensor.shape) <= _MOST_DIMENSIONS or 0 in tensor.shape:
            msg = (
                f"{label}: order names {name!r}, expected a tensor of real numbers with 2 to {_MOST_DIMENSIONS} "
                f"dimensions, got {tensor.stored} of shape {tensor.shape}"
            )
            raise GraphError(msg)
        if name in order[:position]:
            msg = f"order must name each tensor once, got {name!r} twice"
            raise GraphError(msg)
    return list(order)


def _skip(tensor: Tensor | None, skipped: Skipped) -> SkippedTensor:
    if tensor is None:
        return SkippedTensor(skipped.name, (), "?", skipped.reason)
    harmless = skipped.reason == NOT_NAMED or skipped.reason.startswith(CONSTANT)
    suspect = len(tensor.shape) >= 2 and 0 not in tensor.shape and not harmless
    is_pickle = tensor.dtype is None and tensor.stored.startswith("Python objects")
    return SkippedTensor(tensor.name, tensor.shape, tensor.stored, skipped.reason, suspect or is_pickle)


def _interleave(texts: list[str], numbers: list[tuple[int, str]]) -> list[object]:
    mixed: list[object] = [texts[0]]
    for number, text in zip(numbers, texts[1:], strict=True):
        mixed += [number, text]
    return mixed
