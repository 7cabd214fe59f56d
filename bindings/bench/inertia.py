"""Inertia of our k-means beside scikit-learn's, over the embeddings of many null networks."""

from typing import Any

import numpy as np
import scipy.stats

from netspectra.bindings.bench.accuracy import INERTIA_TOLERANCE, AccuracyError
from netspectra.bindings.bench.stages import StageContests

__all__ = ["compare_inertia", "median_interval"]


def compare_inertia(contests: StageContests, n_sets: int) -> dict[str, Any]:
    """Median over the embeddings of `n_sets` null networks of our inertia by scikit-learn's, minus one.

    Each side keeps its best of ``n_init`` restarts. On W2 the best of 25 spreads by 0.9% on either side, so
    that the median of 400 has a standard error of 0.08%, that of 1,600 one of 0.04%; its 95% interval comes with it.

    Returns
    -------
    dict
        ``inertia_difference``, ``interval`` (low, high), ``sets``.

    Raises
    ------
    AccuracyError
        If the whole interval lies above 0.1%: ours is worse.
    """
    from sklearn.cluster import KMeans

    stages, w = contests.stages, contests.workload
    ratios = []
    for replicate in range(n_sets):
        batch = stages.shuffle(replicate)
        points = stages.embed(batch, stages.solve(batch, replicate))
        ours = float(stages.kmeans(batch, points, replicate).inertia.min())
        live = points[0][batch.live[0]]
        ratios.append(ours / float(KMeans(w.k, n_init=w.n_init, random_state=replicate).fit(live).inertia_) - 1)
    low, high = median_interval(ratios)
    if low > INERTIA_TOLERANCE:
        msg = f"inertia is larger by {np.median(ratios):.2%} in the median over {n_sets} embeddings, at least {low:.2%}"
        raise AccuracyError(msg)
    return {"inertia_difference": float(np.median(ratios)), "interval": (low, high), "sets": n_sets}


def median_interval(values: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the median between two order statistics, whatever the distribution; infinite for fewer than six."""
    ordered = np.sort(values)
    outside = int(scipy.stats.binom.ppf((1 - confidence) / 2, ordered.size, 0.5)) - 1
    if outside < 0:
        return -np.inf, np.inf
    return float(ordered[outside]), float(ordered[ordered.size - 1 - outside])
