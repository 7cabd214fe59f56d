"""Statistics of an observed n-cut among those of null networks.

``p = (1 + #{null <= observed + tie}) / (1 + N)``: never 0, ties count (B. Phipson, G. Smyth, Stat. Appl. Genet. Mol.
Biol. 9, 2010); a null that failed counts as at or below the observed value. ``z`` has ddof = 1. Deviations from the
official code, which uses a strict inequality and ddof = 0, are deliberate.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaincinv

__all__ = ["CONFIDENCE", "NullStatistics", "at_or_below", "cohens_d", "compare", "tie_width"]

Values = np.ndarray[Any, np.dtype[np.float64]]
CONFIDENCE = 0.95


@dataclass(frozen=True)
class NullStatistics:
    """p-value with its Monte-Carlo confidence interval, z-score, percentile; NaN where they are not defined."""

    p_value: float
    p_interval: tuple[float, float]
    z_score: float
    percentile: float
    null_mean: float
    null_sd: float


def tie_width(n_clusters: int, *, float64: bool) -> float:
    """Difference of two n-cuts below which they count as tied: 1e-9 k in float64, 1e-5 k in float32."""
    return (1e-9 if float64 else 1e-5) * n_clusters


def at_or_below(observed: float, nulls: Values, tie: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which nulls count against `observed`: those at or below it, and those that failed."""
    return (nulls <= observed + tie) | ~np.isfinite(nulls)


def compare(observed: float, nulls: Values, tie: float) -> NullStatistics:
    """Place `observed` among `nulls` (N,), N >= 1, NaN where a null network failed."""
    valid = nulls[np.isfinite(nulls)]
    below = int(np.count_nonzero(at_or_below(observed, nulls, tie)))
    mean = float(valid.mean()) if valid.size else float("nan")
    sd = float(valid.std(ddof=1)) if valid.size > 1 else float("nan")
    spread = sd > tie  # equal n-cuts differ by rounding only
    return NullStatistics(
        p_value=(1 + below) / (1 + nulls.size),
        p_interval=_clopper_pearson(below, nulls.size),
        z_score=(observed - mean) / sd if spread else float("nan"),
        percentile=100.0 * below / nulls.size,
        null_mean=mean,
        null_sd=sd,
    )


def cohens_d(observed: Values, nulls: Values) -> float:
    """Effect size between the observed n-cuts over k-means seeds and the nulls, with pooled variance."""
    valid = nulls[np.isfinite(nulls)]
    if valid.size < 2 or observed.size < 2:
        return float("nan")
    pooled = float(np.sqrt((observed.var(ddof=1) + valid.var(ddof=1)) / 2))
    return float((observed.mean() - valid.mean()) / pooled) if pooled > 0 else float("nan")


def _clopper_pearson(successes: int, trials: int) -> tuple[float, float]:
    """Exact 95% confidence interval of the probability behind `successes` of `trials`."""
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes == trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high
