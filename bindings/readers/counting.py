"""How many weights are not zero: counted where that is quick, estimated from a sample of places where it is not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.bindings.readers.tensors import Array
from netspectra.networks import Weight

__all__ = ["COUNT_EXACTLY", "Count", "count_weights"]

COUNT_EXACTLY = 50_000_000
"""Weights of a file that are all counted: a quarter of a second."""

_SAMPLE = 1 << 20
"""Weights that are looked at beyond it, over all tensors: their density is good to a few in a thousand."""

_RUN = 1 << 11
"""Neighbours that are looked at together: a page or two of the file."""

_PANEL = 1 << 22


@dataclass(frozen=True, slots=True)
class Count:
    """Of one tensor: weights that are not zero, those that are NaN or infinite; `seen` is how many were looked at."""

    nonzero: int
    not_finite: int
    seen: int


def count_weights(weights: Sequence[Weight], budget: int = COUNT_EXACTLY) -> tuple[list[Count], bool]:
    """Count what tensors hold; the second value says whether numbers are estimates from a sample.

    Parameters
    ----------
    weights : sequence of Weight
    budget : int
        Weights in all up to which every one is counted.

    Returns
    -------
    list of Count
        Where sampled, `nonzero` is the estimate for the whole tensor and `not_finite` what the sample holds.
    sampled : bool
    """
    sizes = [int(np.prod(weight.shape, dtype=np.int64)) for weight in weights]
    total = sum(sizes)
    if total <= budget:
        return [_counted(weight.read()) for weight in weights], False
    rng = np.random.default_rng(0)
    share = _SAMPLE / total
    return [
        _sampled(weight.read(), max(1, round(size * share / _RUN)), rng)
        for weight, size in zip(weights, sizes, strict=True)
    ], True


def _counted(array: Array) -> Count:
    flat = _flat(array)
    nonzero = wrong = 0
    for start in range(0, flat.size, _PANEL):
        panel_nonzero, panel_wrong = _look(flat[start : start + _PANEL])
        nonzero, wrong = nonzero + panel_nonzero, wrong + panel_wrong
    return Count(nonzero, wrong, flat.size)


def _sampled(array: Array, n_runs: int, rng: np.random.Generator) -> Count:
    """One run at a random place in each of `n_runs` equal parts."""
    flat = _flat(array)
    part = flat.size // n_runs
    if part <= _RUN:
        return _counted(array)
    starts = np.arange(n_runs) * part + rng.integers(0, part - _RUN, n_runs)
    found = [_look(flat[start : start + _RUN]) for start in starts.tolist()]
    seen = n_runs * _RUN
    nonzero = sum(nonzero for nonzero, _ in found)
    return Count(round(nonzero * (flat.size / seen)), sum(wrong for _, wrong in found), seen)


def _flat(array: Array) -> Array:
    """All elements in the order of memory, without a copy where the array is contiguous either way."""
    return array.reshape(-1) if array.flags.c_contiguous else np.ravel(array, order="K")


def _look(values: Any) -> tuple[int, int]:
    """Non-zero and non-finite values; 16-bit floats by their bits, which NumPy knows how to compare fast."""
    if values.dtype.kind in "biu":
        return int(np.count_nonzero(values)), 0
    if values.dtype.itemsize == 2:
        bits = values.view(np.uint16) & np.uint16(0x7FFF)
        infinite = np.uint16(0x7C00 if values.dtype == np.float16 else 0x7F80)
        return int(np.count_nonzero(bits)), int(np.count_nonzero(bits >= infinite))
    return int(np.count_nonzero(values)), int(values.size - np.count_nonzero(np.isfinite(values)))
