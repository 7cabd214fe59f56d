"""A test that draws null networks until the verdict is clear: where it stops, and what p and its interval then are.

A p-value is the probability under the null hypothesis of an outcome at least as extreme in the scheme that was run (M.
Fay, H.-J. Kim and M. Hachey do so for other boundaries, J. Comput. Graph. Stat. 16, 946, 2007). The most extreme is to
stop on the low side early, then to stop there late, then on the high side late, and the least extreme to stop on the
high side early; within one look fewer nulls at or below the observed value come first.
With a single look that is ``(1 + S_N) / (1 + N)``; with the high side alone it is h / n of J. Besag and P. Clifford
(Biometrika 78, 301, 1991), whose test draws all nulls for a very modular network, and so is not what is done. A larger
p moves every path up, hence every outcome back in that order: so p is uniform under the null hypothesis but for its
steps, and inverting the two tails gives an interval that holds with 95% or more (C. Clopper and E. Pearson's with a
single look).

So that p is at most 0.05 just where the test stops on the low side, it is held to ``c / (N + 1)`` there and above it on
the high side (c: see :mod:`netspectra.significance.boundaries`). What this takes from any p is below 3e-6.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from netspectra.significance.boundaries import Boundaries, Stops
from netspectra.significance.statistics import CONFIDENCE, NullStatistics, at_or_below, compare

__all__ = ["SequentialTest"]

_HALVINGS = 60

Flags = np.ndarray[Any, np.dtype[np.bool_]]


class SequentialTest:
    """One test of at most `n_max` null networks, which are shown to it in replicate order."""

    def __init__(self, n_max: int) -> None:
        self._boundaries = Boundaries(n_max)

    def n_enough(self, below: Flags) -> int | None:
        """How many of the nulls drawn so far decide, None where more are needed; `below` grows from call to call.

        The boundaries are known to that null and no further, as :meth:`compare` needs them.
        """
        found, counts = self._boundaries, np.cumsum(below)
        while found.n <= below.size:
            if not found.lower[-1] < counts[found.n - 1] < found.upper[-1]:
                return found.n
            found.advance()
        return None

    def compare(self, observed: float, nulls: np.ndarray[Any, Any], tie: float) -> NullStatistics:
        """Place a value among the nulls that were enough for the observed one.

        For another value the scheme is taken to end with these nulls: where it is still undecided, p is the probability
        of a path that stopped on the low side, or is no higher now, and the interval that of a fixed number of nulls.
        """
        fixed = compare(observed, nulls, tie)
        found, counts = self._boundaries, np.cumsum(at_or_below(observed, nulls, tie))
        seen = counts[found.first - 1 :]
        low, high = seen <= found.lower[: seen.size], seen >= found.upper[: seen.size]
        if not (low | high).any():
            going = float(np.sum(found.shares[found.counts <= counts[-1]])) / (found.n + 1)
            return replace(fixed, p_value=found.low.mass(len(found.low)) + going)
        look = int(np.argmax(low | high))
        n, count = found.first + look, int(seen[look])
        c, n_max = found.n_significant, found.n_max
        if low[look]:
            place = found.low.place(n, count)
            p = min(found.low.mass(place + 1), c / (n_max + 1))
            return replace(fixed, p_value=p, p_interval=_limits(found.low, place))
        place = found.high.place(n, count)
        p = max(1 - found.high.mass(place), (c + 1) / (n_max + 1))
        above, below = _limits(found.high, place, mirrored=True)
        return replace(fixed, p_value=p, p_interval=(below, above))


def _limits(stops: Stops, place: int, *, mirrored: bool = False) -> tuple[float, float]:
    """Values of p at which the tails beyond a point have 2.5%: that before it, and that from it on.

    From the most extreme point inwards the probability of what came before falls with p on the low side; `mirrored`, it
    rises, as it does on the high side.
    """
    tail = (1 - CONFIDENCE) / 2
    extreme = 1.0 if mirrored else 0.0
    near = _solve(stops.probability(place), 1 - tail, extreme) if place else extreme
    return near, _solve(stops.probability(place + 1), tail, extreme)


def _solve(probability: Callable[[float], float], target: float, extreme: float) -> float:
    """The p at which a probability that falls from 1 at `extreme` (0 or 1) to 0 at the other end has a value."""
    near, far = extreme, 1 - extreme
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (middle, far) if probability(middle) > target else (near, middle)
    ends = [p for p in (near, far) if p in (0.0, 1.0)]  # one that was never left is the answer, exactly
    return ends[0] if ends else (near + far) / 2
