"""A network without its weights, as JSON: a topology found from one format, applied to a file of tensors of another.

>>> from netspectra.networks.architecture import architecture_from_json, architecture_to_json
>>> restored = architecture_from_json(architecture_to_json(network))  # doctest: +SKIP

Weights are named by their keys, with their shapes; :func:`with_tensors` gives them values. The JSON object has the keys
``kind``, ``schema_version``, ``format``, ``inputs``, ``constants``, ``outputs``, ``operations`` and ``skipped``; each
operation says what :class:`~netspectra.networks.Operation` does.
"""

import difflib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from netspectra.errors import FileFormatError, GraphError
from netspectra.networks.architecture_fields import network_fields
from netspectra.networks.network import Network, Operation, Skipped, Weight

__all__ = [
    "ARCHITECTURE_VERSION",
    "architecture_from_json",
    "architecture_to_json",
    "load_architecture",
    "save_architecture",
    "with_tensors",
]

KIND = "netspectra architecture"
ARCHITECTURE_VERSION = 1
"""Version of what is written; raised whenever a key changes its meaning or goes."""

COMPUTED = " (computed)"
"""End of the key of a weight that its module computes from other parameters."""

LONGEST = 64 << 20
"""Bytes of an architecture that is read; a network of 1,000 operations takes half a megabyte."""


def architecture_to_json(network: Network) -> str:
    """Return the topology of a network as JSON.

    Weights without a key are written where all their values are the same (the scale of a normalisation without one).

    Raises
    ------
    GraphError
        If a weight has no key, so that no file could give it values.
    """
    given: Any = network
    if not isinstance(given, Network):
        msg = (
            f"expected a Network, got {type(network).__name__}; network_from_module(model, inputs), network_from_onnx "
            "and network_from_keras make one"
        )
        raise GraphError(msg)
    content = {
        "kind": KIND,
        "schema_version": ARCHITECTURE_VERSION,
        "format": network.format,
        "inputs": {name: None if shape is None else list(shape) for name, shape in network.inputs.items()},
        "constants": {name: list(shape) for name, shape in network.constants.items()},
        "outputs": list(network.outputs),
        "operations": [_operation(operation) for operation in network.operations],
        "skipped": [{"name": skipped.name, "reason": skipped.reason} for skipped in network.skipped],
    }
    return json.dumps(content, indent=1, default=_plain) + "\n"


def save_architecture(network: Network, path: str | os.PathLike[str]) -> None:
    """Write the topology of a network to a file, whole or not at all.

    Raises
    ------
    GraphError
        As :func:`architecture_to_json`.
    OSError
        If the file cannot be written.
    """
    text, target = architecture_to_json(network), Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_architecture(path: str | os.PathLike[str]) -> Network:
    """Read what :func:`save_architecture` wrote; see :func:`architecture_from_json`.

    Raises
    ------
    FileFormatError
        If the file is missing, too large, or no architecture.
    """
    file = Path(path)
    try:
        size = file.stat().st_size if file.is_file() else None
        if size is None or size > LONGEST:
            came = "none" if size is None else f"one of {size:,} bytes"
            msg = f"{file}: expected an architecture file of at most {LONGEST:,} bytes, got {came}; check the path"
            raise FileFormatError(msg)
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        if isinstance(error, FileFormatError):
            raise
        msg = f"{file}: cannot be read as text: {error}; expected an architecture written by save_architecture"
        raise FileFormatError(msg) from error
    return architecture_from_json(text, str(file))


def architecture_from_json(text: str, label: str = "architecture") -> Network:
    """Return the network that JSON describes; its weights have shapes, but no values before :func:`with_tensors`.

    Raises
    ------
    FileFormatError
        If it is not what :func:`architecture_to_json` writes; the message says where.
    """
    if len(text) > LONGEST:
        msg = f"{label}: expected at most {LONGEST:,} characters of JSON, got {len(text):,}"
        raise FileFormatError(msg)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{label}: expected JSON, got {str(error) or type(error).__name__}; write it with save_architecture"
        raise FileFormatError(msg) from error
    if not isinstance(content, dict) or content.get("kind") != KIND:
        msg = f"{label}: expected a JSON object of kind {KIND!r}, got another; write it with save_architecture"
        raise FileFormatError(msg)
    version = content.get("schema_version")
    if version != ARCHITECTURE_VERSION or isinstance(version, bool):
        msg = (
            f"{label}: expected schema_version {ARCHITECTURE_VERSION}, got {str(version)[:40]}; write it again with "
            "this netspectra, or upgrade it"
        )
        raise FileFormatError(msg)
    try:
        return Network(**network_fields(content))
    except (ValueError, TypeError, KeyError) as error:  # GraphError is a ValueError
        msg = f"{label}: not a valid architecture: {error}; write it again with save_architecture"
        raise FileFormatError(msg) from error


def with_tensors(architecture: Network, tensors: Mapping[str, Weight], *, label: str = "tensors") -> Network:
    """Return a network with the weights that tensors of the same names and shapes hold.

    Parameters
    ----------
    architecture : Network
    tensors : mapping of str to Weight
        What no operation uses is added to what is skipped.
    label : str
        How messages call the collection.

    Raises
    ------
    GraphError
        If a weight is not among the tensors, or has another shape there.
    """
    used: set[str] = set()

    def filled(weight: Weight) -> Weight:
        if not weight.key:
            return weight
        computed = weight.key.removesuffix(COMPUTED)
        key = computed.removesuffix("_orig") if computed != weight.key else weight.key
        used.add(key)
        found = tensors.get(key)
        if found is None and computed != weight.key:
            msg = (
                f"{label}: the architecture needs a weight that its module computed from {computed!r} (weight norm, "
                "a parametrisation), and no tensor holds it; make it permanent in the module and save both again"
            )
            raise GraphError(msg)
        if found is None:
            near = difflib.get_close_matches(weight.key, list(tensors)[:10_000], 1, 0.6)
            hint = f"; the nearest name there is {near[0]!r}" if near else ""
            msg = f"{label}: the architecture needs the tensor {weight.key!r}, which is not there{hint}"
            raise GraphError(msg)
        if tuple(found.shape) != tuple(weight.shape):
            msg = (
                f"{label}: the architecture needs the tensor {weight.key!r} of shape {tuple(weight.shape)}, got "
                f"{tuple(found.shape)}; is it of the same model?"
            )
            raise GraphError(msg)
        return found

    operations = tuple(
        replace(operation, weights={role: filled(weight) for role, weight in operation.weights.items()})
        for operation in architecture.operations
    )
    skipped = [s for s in architecture.skipped if s.name not in tensors]
    told = {s.name: s.reason for s in architecture.skipped}
    skipped += [Skipped(n, told.get(n, "not named in the architecture")) for n in tensors if n not in used]
    return replace(architecture, operations=operations, skipped=tuple(skipped))


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "kind": operation.kind,
        "name": operation.name,
        "inputs": list(operation.inputs),
        "outputs": list(operation.outputs),
        "weights": {role: _weight(weight, operation.name) for role, weight in operation.weights.items()},
        "options": {
            option: np.asarray(value).ravel().tolist() if option == "indices" else value
            for option, value in operation.options.items()
        },
        "shape": None if operation.shape is None else list(operation.shape),
    }


def _weight(weight: Weight, name: str) -> dict[str, Any]:
    written: dict[str, Any] = {"key": weight.key, "shape": list(weight.shape), "dtype": weight.dtype.name}
    if not weight.key:
        values = np.asarray(weight.read())
        if values.size == 0 or not np.all(values == values.flat[0]):
            msg = f"operation {name!r}: a weight without a key cannot be saved; give it the name of a tensor"
            raise GraphError(msg)
        written["fill"] = float(values.flat[0])
    return written


def _plain(value: Any) -> Any:
    """Plain JSON types of what options may hold."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, range | set | frozenset):
        return list(value)
    msg = f"an option holds {type(value).__name__}, which JSON cannot"
    raise GraphError(msg)
