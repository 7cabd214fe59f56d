r"""Clusterable initialisation: weights inside a module start out stronger than weights across modules.

Every unit of every layer belongs to one of M modules. A weight inside a module is multiplied by
:math:`1 + (1 - \beta)(M - 1)`, one across modules by :math:`\beta`; of uniformly drawn modules the mean factor is 1.
Published (arXiv:2103.03386): M = 10, beta 0.6 for multi-layer perceptrons and 0.8 for convolutional networks.

The published *code* leaves the first layer's weights alone ("the pixels aren't always the same"), and of a
convolutional network all dense layers; here every layer takes part unless ``first_layer=False``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from netspectra.errors import GraphError
from netspectra.graph.dtypes import storage_dtype
from netspectra.training.weight_arrays import back_in_dtype, beside, widened
from netspectra.training.weight_chain import Orientation, fans, per_input, require_chain, unit_counts
from netspectra.validation import require_count, require_seed

__all__ = ["BETA_CNN", "BETA_MLP", "clusterable_init", "module_factors", "module_labels"]

BETA_MLP = 0.6
BETA_CNN = 0.8
Labels = np.ndarray[Any, np.dtype[np.int32]]


def module_labels(sizes: Sequence[int], n_modules: int = 10, seed: int | None = 0) -> list[Labels]:
    """Module of every unit, layer by layer.

    Parameters
    ----------
    sizes : sequence of int
        Units per layer, inputs first, outputs last; at least two layers.
    n_modules : int, default 10
        M.
    seed : int or None, default 0
        In [0, 2**64); None draws one. A layer's labels depend on the seed, its position, its size and M alone.

    Returns
    -------
    list of array, each of shape (size,), int32
        Inputs and hidden units uniformly at random; output unit *o* in module *o* mod M, which is one each for the ten
        outputs and ten modules of the publication.

    Raises
    ------
    GraphError
        If an argument is out of range.
    """
    given: Any = sizes
    counts = list(given) if isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) else []
    if len(counts) < 2:
        msg = f"sizes must list the units of at least two layers, inputs first, got {sizes!r}"
        raise GraphError(msg)
    counts = [require_count(f"sizes[{i}]", size, 1) for i, size in enumerate(counts)]
    n_modules, seed = require_count("n_modules", n_modules, 1, 2**31 - 1), require_seed(seed)
    labels = [_drawn(size, n_modules, seed, layer) for layer, size in enumerate(counts[:-1])]
    return [*labels, (np.arange(counts[-1]) % n_modules).astype(np.int32)]


def module_factors(
    source_labels: Any, target_labels: Any, n_modules: int = 10, beta: float = BETA_MLP
) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Factor of every weight between two layers.

    Parameters
    ----------
    source_labels, target_labels : array_like of int, shapes (n_source,) and (n_target,)
        Module of every unit, in [0, n_modules).
    n_modules : int, default 10
        M.
    beta : float, default 0.6
        Factor across modules, in (0, 1]; 1 changes nothing.

    Returns
    -------
    array, shape (n_source, n_target), float64
        ``1 + (1 - beta) * (M - 1)`` inside a module, `beta` across. Of a convolution's channels: the factor of the
        whole kernel slice.

    Raises
    ------
    GraphError
        If an argument is out of range.
    """
    n_modules, beta = require_count("n_modules", n_modules, 1, 2**31 - 1), _checked_beta(beta)
    source = _checked_labels("source_labels", source_labels, n_modules)
    target = _checked_labels("target_labels", target_labels, n_modules)
    return np.where(source[:, None] == target[None, :], 1 + (1 - beta) * (n_modules - 1), beta)


def clusterable_init(
    weights: Any,
    n_modules: int = 10,
    beta: float | None = None,
    seed: int | None = 0,
    orientation: Orientation = "in-out",
    *,
    first_layer: bool = True,
) -> tuple[list[Any], list[Labels]]:
    """Weights of a chain of layers, multiplied by the factors of their modules.

    Parameters
    ----------
    weights : list of arrays
        As initialised by any other scheme; see :mod:`netspectra.training.weight_chain` for shapes and flattening.
    n_modules, seed
        As for :func:`module_labels`.
    beta : float, optional
        As for :func:`module_factors`; default 0.6, or 0.8 if there is a convolution.
    orientation : {"in-out", "out-in"}, default "in-out"
        Which axes hold inputs and outputs.
    first_layer : bool, default True
        False leaves the first layer's weights as they are, as the published code does. No label changes by it.

    Returns
    -------
    weights : list of arrays
        New ones, on their own library, device and dtype.
    labels : list of arrays, int32
        Module of every unit (of every channel), inputs first: what :func:`module_labels` draws for these layers.

    Raises
    ------
    GraphError
        If the weights do not chain or an argument is out of range.
    """
    arrays = require_chain(weights, orientation)
    if beta is None:
        beta = BETA_CNN if any(w.ndim > 2 for w in arrays) else BETA_MLP
    labels = module_labels(unit_counts(arrays, orientation), n_modules, seed)
    scaled = []
    for i, weight in enumerate(arrays):
        source = per_input(labels[i], fans(weight, orientation)[0], orientation)
        factors = module_factors(source, labels[i + 1], n_modules, beta)
        scaled.append(weight if i == 0 and not first_layer else _times(weight, factors, orientation))
    return scaled, labels


def _times(weight: Any, factors: "np.ndarray[Any, Any]", orientation: Orientation) -> Any:
    """Weights times one factor per pair of units; converted on the host, for JAX without x64 has no float64."""
    ones = (1,) * (weight.ndim - 2)
    host = factors.T.reshape(*factors.T.shape, *ones) if orientation == "out-in" else factors
    work = widened(weight)
    host = np.ascontiguousarray(host, dtype=storage_dtype(work))
    return back_in_dtype(work * beside(host, weight), weight)


def _drawn(size: int, n_modules: int, seed: int, layer: int) -> Labels:
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, layer], dtype=np.uint64)))
    return generator.integers(n_modules, size=size, dtype=np.int32)


def _checked_beta(beta: Any) -> float:
    if isinstance(beta, bool) or not isinstance(beta, int | float | np.floating) or not 0 < beta <= 1:
        msg = f"beta must be a number in (0, 1] (1 changes nothing), got {beta!r}"
        raise GraphError(msg)
    return float(beta)


def _checked_labels(name: str, values: Any, n_modules: int) -> "np.ndarray[Any, Any]":
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        msg = f"{name} must be one integer per unit, got shape {labels.shape} of {labels.dtype}"
        raise GraphError(msg)
    if labels.size and not 0 <= labels.min() <= labels.max() < n_modules:
        msg = f"{name} must be modules in [0, {n_modules}), got {labels.min()} to {labels.max()}; see module_labels"
        raise GraphError(msg)
    return labels
