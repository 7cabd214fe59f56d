"""Clusters of neurons: embedding, k-means, n-cut, certificate, partition."""
