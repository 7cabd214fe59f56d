"""From a file to a network, whatever the format; the network's weights can be read while the file is open."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netspectra.bindings.readers.collection import network_of
from netspectra.bindings.readers.families import Hints, read_config
from netspectra.bindings.readers.formats import NETWORK_READERS, TENSOR_READERS, open_tensors, regular_file
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.orientation import OrientationChoice, require_orientation
from netspectra.bindings.readers.pruned import with_masks_applied
from netspectra.bindings.readers.selection import LoadReport, report_of, report_of_names, select_weights
from netspectra.bindings.readers.tensors import TensorFile
from netspectra.errors import AmbiguousOrientationError, GraphError
from netspectra.networks import Network, Weight
from netspectra.networks.architecture import load_architecture, with_tensors

__all__ = ["Found", "Reading", "open_network"]


@dataclass(frozen=True)
class Reading:
    """What the caller says of a file; see :func:`~netspectra.bindings.readers.load`."""

    orientation: OrientationChoice = "auto"
    order: Sequence[str] | None = None
    architecture: str | os.PathLike[str] | Network | None = None
    n_heads: int | None = None
    n_kv_heads: int | None = None
    heads_matter: bool = False


@dataclass(frozen=True)
class Found:
    """What is in a file.

    Attributes
    ----------
    path : Path
    format : str
    report : LoadReport
    network : Network or None
        None where `problem` says why none can be made yet.
    problem : AmbiguousOrientationError or GraphError or None
    metadata : mapping of str to str
    weights : mapping of str to Weight
        Of the tensors that the report says are taken.
    """

    path: Path
    format: str
    report: LoadReport
    network: Network | None
    problem: AmbiguousOrientationError | GraphError | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, Weight] = field(default_factory=dict)


@contextmanager
def open_network(path: str | os.PathLike[str], reading: Reading, limits: LoadLimits) -> Iterator[Found]:
    """Open a file and make a network of it; no weight is read.

    Raises
    ------
    FileFormatError, LimitError
        If the file is not what it should be.
    GraphError
        If `reading` makes no sense for it. Shapes that make no network are a `problem` instead.
    """
    require_orientation(reading.orientation)
    file = regular_file(path)
    suffix = file.suffix.lower()
    if suffix in NETWORK_READERS and suffix not in TENSOR_READERS:
        _require_nothing_said(reading, file)
        network = NETWORK_READERS[suffix](file, limits)
        yield Found(file, network.format, report_of(os.fspath(file), network), network, weights=_weights(network))
        return
    with open_tensors(file, limits) as tensors:
        yield _found(replace(tensors, tensors=with_masks_applied(tensors.tensors)), reading)


def _found(file: TensorFile, reading: Reading) -> Found:
    label = os.fspath(file.path)
    if reading.architecture is not None:
        network = _applied(file, reading)
        return _made(file, network)
    hints = Hints.of(
        read_config(file.path.parent),
        n_heads=reading.n_heads,
        n_kv_heads=reading.n_kv_heads,
        heads_matter=reading.heads_matter,
    )
    names = select_weights(file.tensors, reading.order, label)
    try:
        network = network_of(
            file.tensors,
            order=reading.order,
            orientation=reading.orientation,
            label=label,
            hints=hints,
            in_order=file.in_order,
            origin=file.format,
        )
    except (AmbiguousOrientationError, GraphError) as problem:
        report = report_of_names(label, file, names)
        weights = {name: file.tensors[name].weight() for name in names}
        return Found(file.path, file.format, report, None, problem, file.metadata, weights)
    return _made(file, network)


def _made(file: TensorFile, network: Network) -> Found:
    report = report_of(os.fspath(file.path), network, file)
    weights = {key: file.tensors[key].weight() for key in _weights(network) if key in file.tensors}
    return Found(file.path, file.format, report, network, None, file.metadata, weights)


def _weights(network: Network) -> dict[str, Weight]:
    return {w.key: w for operation in network.operations for w in operation.weights.values() if w.key}


def _applied(file: TensorFile, reading: Reading) -> Network:
    """The network of an architecture file with the tensors of this one."""
    if reading.order is not None or reading.orientation != "auto":
        msg = "architecture says order and orientation of all weights; leave order and orientation at their defaults"
        raise GraphError(msg)
    given = reading.architecture
    if not isinstance(given, Network | str | os.PathLike):
        msg = (
            f"architecture must be a file that save_architecture wrote, or a Network, got {type(given).__name__}; "
            "netspectra.bindings.pytorch.network_from_module(model, inputs) makes one of a module"
        )
        raise GraphError(msg)
    architecture = given if isinstance(given, Network) else load_architecture(str(given and os.fspath(given)))
    weights: dict[str, Any] = {t.name: t.weight() for t in file.tensors.values() if t.dtype is not None}
    return with_tensors(architecture, weights, label=os.fspath(file.path))


def _require_nothing_said(reading: Reading, file: Path) -> None:
    said = [
        name
        for name, value, default in (
            ("orientation", reading.orientation, "auto"),
            ("order", reading.order, None),
            ("architecture", reading.architecture, None),
            ("n_heads", reading.n_heads, None),
            ("n_kv_heads", reading.n_kv_heads, None),
        )
        if value != default
    ]
    if said:
        msg = f"{file}: {', '.join(said)}: a {file.suffix} file holds its topology itself; leave that at its default"
        raise GraphError(msg)
