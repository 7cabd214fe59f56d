"""Clusters of neurons: embedding, k-means, n-cut, certificate, partition."""

from netspectra.clustering.ncut import ncut
from netspectra.clustering.partition import ClusterSummary, Partition
from netspectra.clustering.recipe import Recipe, SelectName
from netspectra.clustering.spectral import spectral_clustering

__all__ = ["ClusterSummary", "Partition", "Recipe", "SelectName", "ncut", "spectral_clustering"]
