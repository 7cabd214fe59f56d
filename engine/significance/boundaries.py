"""Stopping boundaries of a sequential Monte-Carlo test, and how likely it is to stop where.

Of N null networks at most, S_n of the first n are at or below the observed value. The test stops at the first n >= 32
with ``S_n <= L_n`` (p is below 0.05) or ``S_n >= U_n`` (p is above). The boundaries are A. Gandy's (J. Am. Stat. Assoc.
104, 1504, 2009): of the bound on the resampling risk, ``RISK n / (HALF_SPENT + n)`` is spent by null n. He bounds the
risk against infinitely many nulls, and a test near 0.05 may then never end; here it is bounded against the verdict of
all N. Their order is exchangeable, so that S_n given S_N is hypergeometric, whatever p is, and with ``c = floor(0.05
(N + 1))`` the test is least sure where ``S_N = c - 1`` (just significant) and where ``S_N = c`` (just not): U_n is the
least that paths to the first reach with no more than the probability spent, L_n the largest for paths to the second.
Every path has stopped by N.

Everything follows from one number per point, the share ``f_n(s)`` of the orders of s among n that did not stop before
n: ``f_n(s) = (s f_{n-1}(s - 1) + (n - s) f_{n-1}(s)) / n``. The probability to get there is ``f_n(s) P(S_n = s)``, and
``P(S_n = s)`` is hypergeometric, binomial for a given p, or ``1 / (n + 1)`` under the null hypothesis.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import gammaln

from netspectra.significance.sensitivity import SIGNIFICANCE_LEVEL

__all__ = ["FIRST_LOOK", "RISK", "Boundaries", "Stops"]

FIRST_LOOK = 32
"""Nulls that are always drawn: mean and spread of fewer would say little, and a wave of fewer saves little."""

RISK = 1e-3
"""Bound on the probability that all nulls together would have led to the other verdict."""

HALF_SPENT = 300
"""Null by which half of the risk is spent; Gandy has 1,000. Clear verdicts come a tenth earlier."""

Floats = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


class Stops:
    """Points at which a test stops on one side, from the most to the least extreme: early before late.

    Within one n the more extreme count comes first.
    """

    def __init__(self) -> None:
        self._n: list[int] = []
        self._count: list[int] = []
        self._share: list[float] = []

    def add(self, n: int, counts: Integers, shares: Floats) -> None:
        """Append the points of one n."""
        self._n += [n] * counts.size
        self._count += counts.tolist()
        self._share += shares.tolist()

    def __len__(self) -> int:
        return len(self._n)

    def place(self, n: int, count: int) -> int:
        """Number of the point (n, `count`), which must be there."""
        return self._count.index(count, bisect_left(self._n, n))

    def mass(self, end: int) -> float:
        """Probability under the null hypothesis to stop at one of the first `end` points."""
        return float(np.sum(np.array(self._share[:end]) / (np.array(self._n[:end], np.float64) + 1)))

    def probability(self, end: int) -> Callable[[float], float]:
        """Probability to stop at one of the first `end` points, as a function of p in (0, 1), that of a null below."""
        n, count = np.array(self._n[:end], np.float64), np.array(self._count[:end], np.float64)
        ways = np.log(np.array(self._share[:end])) + _log_choose(n, count)
        return lambda p: float(np.sum(np.exp(ways + count * np.log(p) + (n - count) * np.log1p(-p))))


class Boundaries:
    """The boundaries of a test of at most `n_max` >= 1 nulls, found null by null, no further than they are asked for.

    Attributes
    ----------
    first : int
        Number of nulls at which the test first looks.
    n_significant : int
        c above: counts below it are significant once all nulls are drawn.
    n : int
        Number of nulls up to which the boundaries are known.
    lower, upper : list of int
        Those boundaries, from `first` to n.
    low, high : Stops
        Points up to n at which the test stops on either side.
    counts, shares : ndarray
        Counts at which it goes on beyond n, and f_n of each.
    """

    def __init__(self, n_max: int) -> None:
        self.n_max = n_max
        self.first = min(FIRST_LOOK, n_max)
        self.n_significant = int((n_max + 1) * SIGNIFICANCE_LEVEL + 1e-9)
        self.low, self.high = Stops(), Stops()
        self.lower, self.upper = list[int](), list[int]()
        self._spent_low = self._spent_high = 0.0
        self.n = self.first
        self.counts: Integers = np.arange(self.first + 1)
        self.shares: Floats = np.ones(self.first + 1)
        self._look()

    def advance(self) -> None:
        """Draw one null more, and look."""
        self.n += 1
        counts = np.arange(self.counts[0], self.counts[-1] + 2) if self.counts.size else self.counts
        shares = np.zeros(counts.size)
        shares[:-1] = (self.n - counts[:-1]) / self.n * self.shares
        shares[1:] += counts[1:] / self.n * self.shares
        self.counts, self.shares = counts, shares
        self._look()

    def _look(self) -> None:
        """Set the boundaries at n, and take out what stops there."""
        lower, upper = self._place_boundaries()
        self.lower.append(lower)
        self.upper.append(upper)
        low, high = self.counts <= lower, self.counts >= upper
        self.low.add(self.n, self.counts[low], self.shares[low])
        self.high.add(self.n, self.counts[high][::-1], self.shares[high][::-1])
        self.counts, self.shares = self.counts[~(low | high)], self.shares[~(low | high)]

    def _place_boundaries(self) -> tuple[int, int]:
        largest_low, c = self.n_significant - 1, self.n_significant
        if self.n == self.n_max or self.counts.size == 0:
            return largest_low, c
        budget = RISK * self.n / (HALF_SPENT + self.n)
        # Both sums run from the outside in: what has been spent, and what stopping there as well would add.
        wrong_high = self._spent_high + np.cumsum(self._reached(largest_low)[::-1])
        wrong_low = self._spent_low + np.cumsum(self._reached(c))
        n_high, n_low = int(np.sum(wrong_high <= budget)), int(np.sum(wrong_low <= budget))
        lower = min(int(self.counts[0]) - 1 + n_low, largest_low)
        upper = max(min(int(self.counts[-1]) + 1 - n_high, c), lower + 1)
        n_low, n_high = int(np.sum(self.counts <= lower)), int(np.sum(self.counts >= upper))
        self._spent_low = float(wrong_low[n_low - 1]) if n_low else self._spent_low
        self._spent_high = float(wrong_high[n_high - 1]) if n_high else self._spent_high
        return lower, upper

    def _reached(self, total: int) -> Floats:
        """Probability to reach (n, count) without a stop before, for every count, where S_N is `total`."""
        n, left, s = float(self.n), float(self.n_max - self.n), self.counts
        able = (s <= total) & (total - s <= left)
        s = np.where(able, s, max(0, total - int(left)))
        logs = _log_choose(n, s) + _log_choose(left, total - s) - _log_choose(float(self.n_max), total)
        return np.where(able, self.shares * np.exp(logs), 0.0)


def _log_choose(n: Any, k: Any) -> Any:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
