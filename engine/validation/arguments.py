"""Checks shared by every public function; each returns the argument in the form the engine uses."""

import operator
import secrets
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from netspectra.errors import GraphError

__all__ = [
    "MAX_N_INIT",
    "MAX_N_NULLS",
    "require_choice",
    "require_clusters",
    "require_count",
    "require_graph",
    "require_index",
    "require_labels",
    "require_seed",
    "require_tolerance",
]

MAX_N_INIT = 1_000_000
MAX_N_NULLS = 100_000_000
_SEED_LIMIT = 1 << 64
_LEAST_TOL = 1e-14
C = TypeVar("C", bound=str)


def require_index(name: str, value: Any) -> int:
    """Return a replicate number: an integer in [0, 2**64 - 1), what the random keys have room for."""
    number = require_count(name, value, 0)
    if number >= _SEED_LIMIT - 1:
        msg = f"{name} must be below 2**64 - 1, got {number}"
        raise GraphError(msg)
    return number


def require_count(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Return an integer of at least `minimum` and, if given, at most `maximum`."""
    number = _integer(value)
    if number is None or number < minimum:
        msg = f"{name} must be an integer of at least {minimum}, got {value!r}"
        raise GraphError(msg)
    if maximum is not None and number > maximum:
        msg = f"{name} must be at most {maximum:,}, got {number:,}; a run of that size would not end"
        raise GraphError(msg)
    return number


def require_choice(name: str, value: Any, choices: Sequence[C]) -> C:
    """Return one of `choices`."""
    for choice in choices:
        if isinstance(value, str) and value == choice:
            return choice
    msg = f"{name} must be one of {list(choices)}, got {value!r}"
    raise GraphError(msg)


def require_seed(value: Any) -> int:
    """Return an integer in [0, 2**64); None draws one."""
    if value is None:
        return secrets.randbits(64)
    number = _integer(value)
    if number is None or not 0 <= number < _SEED_LIMIT:
        msg = f"seed must be an integer in [0, 2**64) or None, got {value!r}"
        raise GraphError(msg)
    return number


def require_tolerance(value: Any) -> float | None:
    """Return a positive number or None."""
    if value is None:
        return None
    if (
        not isinstance(value, int | float | np.floating)
        or isinstance(value, bool)
        or not _LEAST_TOL <= float(value) < 1
    ):
        msg = f"tol must be a number from {_LEAST_TOL} (what float64 can reach) to 1 or None, got {value!r}"
        raise GraphError(msg)
    return float(value)


def require_clusters(name: str, value: Any, minimum: int, n_live: int) -> int:
    """Return a count of clusters or eigenpairs that a graph with `n_live` non-isolated nodes can have."""
    number = require_count(name, value, minimum)
    if number > n_live:
        msg = f"{name} must be at most the number of non-isolated nodes ({n_live}), got {number}; choose fewer"
        raise GraphError(msg)
    return number


def require_graph(name: str, value: Any, kind: type) -> Any:
    """Return a graph; the message tells how to make one."""
    if not isinstance(value, kind):
        msg = (
            f"{name} must be a LayerGraph, got {type(value).__name__}; make one with LayerGraph.from_weights([...]), "
            "LayerGraph.from_adjacency(A) or netspectra.load(path)"
        )
        raise GraphError(msg)
    return value


def require_labels(value: Any, n_nodes: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return one integer label of at least -1 per node, int32."""
    try:
        labels = np.asarray(value)
    except ValueError as error:
        msg = f"labels must hold one label per node ({n_nodes}), got what is no array ({error})"
        raise GraphError(msg) from error
    if labels.ndim != 1 or labels.size != n_nodes:
        msg = f"labels must hold one label per node ({n_nodes}), got shape {labels.shape}"
        raise GraphError(msg)
    if labels.dtype.kind not in "iuf":
        msg = f"labels must be integers of at least -1 (-1: in no cluster), got dtype {labels.dtype}"
        raise GraphError(msg)
    fine: Any = (labels >= -1) & (labels < 2**31 - 1) & (labels == np.floor(labels))
    if not fine.all():
        msg = f"labels must be integers of at least -1 (-1: in no cluster), got {labels[~fine][0]} (at most 2**31 - 2)"
        raise GraphError(msg)
    return labels.astype(np.int32)


def _integer(value: Any) -> int | None:
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None
