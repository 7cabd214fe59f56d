"""Does the verdict hang on the k-means seed? The observed network, clustered with further seeds.

It matters: with 25 restarts chosen by inertia, 30 seeds on one trained network gave p from .008 to .240.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from netspectra.clustering import Recipe
from netspectra.clustering.cluster import cluster_batch
from netspectra.graph.batch import GraphBatch
from netspectra.kernels.keys import derive_seed
from netspectra.records import Record
from netspectra.significance.statistics import NullStatistics, compare
from netspectra.spectrum import Solution

__all__ = ["N_SEEDS", "SIGNIFICANCE_LEVEL", "SeedSensitivity", "further_ncuts", "seed_sensitivity"]

N_SEEDS = 20
SIGNIFICANCE_LEVEL = 0.05


_BATCH_ELEMENTS = 1 << 22


@dataclass(frozen=True, kw_only=True, eq=False)
class SeedSensitivity(Record):
    """The observed network over the run's seed and `n_seeds` further ones.

    Attributes
    ----------
    n_seeds : int
    ncuts : ndarray, shape (n_seeds,), float64
        Of the further seeds.
    ncut_range : (float, float)
        Least and largest n-cut, the run's own included; `z_range` and `p_range` likewise, None without nulls. All seeds
        are compared with the run's nulls. Where those were drawn until the run's own verdict was clear, that of another
        seed may not be: its p is then that of a test that ends with these nulls, and as coarse as they are few.
    sensitive : bool
        Whether the range of p crosses 0.05.
    """

    n_seeds: int
    ncuts: np.ndarray[Any, np.dtype[np.float64]]
    ncut_range: tuple[float, float]
    z_range: tuple[float, float] | None
    p_range: tuple[float, float] | None
    sensitive: bool


def further_ncuts(batch: GraphBatch, solution: Solution, recipe: Recipe) -> np.ndarray[Any, np.dtype[np.float64]]:
    """n-cuts of the only member of `batch` under :data:`N_SEEDS` further k-means seeds, from the same eigenvectors.

    Of a small graph all seeds are one batch.
    """
    together = max(1, min(N_SEEDS, _BATCH_ELEMENTS // (batch.structure.n_nodes * recipe.n_clusters)))
    values: list[float] = []
    for first in range(0, N_SEEDS, together):
        seeds = [derive_seed(recipe.seed, number) for number in range(first, min(first + together, N_SEEDS))]
        copies = batch.select([0] * len(seeds)), solution.repeated(batch.backend.xp, len(seeds))
        found = cluster_batch(*copies, recipe, seeds, [None] * len(seeds))
        values += batch.backend.to_numpy(found.ncut).tolist()
    return np.array(values)


def seed_sensitivity(
    observed: float,
    further: np.ndarray[Any, Any],
    nulls: np.ndarray[Any, Any],
    tie: float,
    place: Callable[[float, np.ndarray[Any, Any], float], NullStatistics] = compare,
) -> SeedSensitivity:
    """Range of n-cut, z and p over seeds; `place` puts each among the nulls by the scheme that drew them."""
    every = np.append(further, observed)
    z_range = p_range = None
    sensitive = False
    if nulls.size:
        found = [place(float(value), nulls, tie) for value in every]
        z, p = [s.z_score for s in found], [s.p_value for s in found]
        z_range, p_range = (min(z), max(z)), (min(p), max(p))
        sensitive = p_range[0] <= SIGNIFICANCE_LEVEL < p_range[1]
    return SeedSensitivity(
        n_seeds=int(further.size),
        ncuts=np.asarray(further, np.float64),
        ncut_range=(float(every.min()), float(every.max())),
        z_range=z_range,
        p_range=p_range,
        sensitive=sensitive,
    )
