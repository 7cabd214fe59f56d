"""One clustering of every member of a batch, from eigenvectors to labels and n-cuts."""

from dataclasses import dataclass
from typing import Any

from netspectra.clustering.embedding import embed
from netspectra.clustering.kmeans import kmeans
from netspectra.clustering.ncut import ClusterVolumes, cluster_volumes, ncut_of
from netspectra.clustering.recipe import Recipe
from netspectra.graph.batch import GraphBatch
from netspectra.kernels.backend import Array
from netspectra.spectrum import Solution

__all__ = ["Clustering", "cluster_batch"]


@dataclass(frozen=True)
class Clustering:
    """Labels int32 (B, n), -1 for isolated nodes; n-cut, inertia (B,); volumes and cuts (B, k)."""

    labels: Array
    ncut: Array
    inertia: Array
    volumes: ClusterVolumes


def cluster_batch(
    batch: GraphBatch,
    solution: Solution,
    recipe: Recipe,
    seeds: list[int],
    replicates: "list[int | None]",
) -> Clustering:
    """k-means on the embedding, and of its restarts the one of least inertia or of least n-cut (ties to the lowest).

    `seeds` and `replicates` (None: the real network), length B, key each member's random numbers.
    """
    xp, n_clusters, run = batch.backend.xp, recipe.n_clusters, batch.backend.run
    points = run(embed, batch, solution.vectors)
    found = kmeans(batch, points, recipe, seeds, replicates)
    if recipe.select == "inertia":
        labels = found.labels[:, 0, :]
        volumes = run(cluster_volumes, batch, labels, n_clusters)
        return Clustering(labels, run(ncut_of, batch, volumes), xp.min(found.inertia, axis=1), volumes)
    best: Any = None
    for restart in range(recipe.n_init):
        labels = found.labels[:, restart, :]
        volumes = run(cluster_volumes, batch, labels, n_clusters)
        this = Clustering(labels, run(ncut_of, batch, volumes), found.inertia[:, restart], volumes)
        best = this if best is None else _better(xp, this, best)
    return best  # type: ignore[no-any-return]


def _better(xp: Any, this: Clustering, best: Clustering) -> Clustering:
    wins = this.ncut < best.ncut
    wide = wins[:, None]
    return Clustering(
        xp.where(wide, this.labels, best.labels),
        xp.where(wins, this.ncut, best.ncut),
        xp.where(wins, this.inertia, best.inertia),
        ClusterVolumes(
            xp.where(wide, this.volumes.volume, best.volumes.volume),
            xp.where(wide, this.volumes.cut, best.volumes.cut),
        ),
    )
