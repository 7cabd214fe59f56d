"""Streams of nulls for sequential tests, of which only is known whether each is at or below the observed value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from netspectra.significance.sequential import SequentialTest

__all__ = ["Runs", "run_many"]


@dataclass(frozen=True)
class Runs:
    """Sequential tests of many streams: nulls used, p, interval, and the p of all nulls; one entry per stream."""

    n_used: np.ndarray
    p_value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p_of_all: np.ndarray


def run_many(below: np.ndarray) -> Runs:
    """Test each row of `below` (streams, N), with the boundaries found once and each outcome placed once."""
    n_streams, n_max = below.shape
    test, found = SequentialTest(n_max), {}
    bounds = test._boundaries
    while bounds.n < n_max:
        bounds.advance()
    counts = np.cumsum(below, axis=1)
    seen = counts[:, bounds.first - 1 :]
    stopped = (seen <= np.array(bounds.lower)) | (seen >= np.array(bounds.upper))
    assert stopped[:, -1].all(), "every test has ended with the last null"
    n_used = bounds.first + np.argmax(stopped, axis=1)
    points = list(zip(n_used.tolist(), counts[np.arange(n_streams), n_used - 1].tolist(), strict=True))
    for row, point in enumerate(points):
        if point not in found:
            placed = test.compare(1.0, np.where(below[row, : point[0]], 0.0, 2.0), 1e-9)
            found[point] = (placed.p_value, *placed.p_interval)
    values = np.array([found[point] for point in points])
    return Runs(n_used, *values.T, (1 + counts[:, -1]) / (1 + n_max))
