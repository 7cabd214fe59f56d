"""Is it more than chance? The observed n-cut against those of null networks."""

from netspectra.significance.clusterability import clusterability_test
from netspectra.significance.planning import RunPlan
from netspectra.significance.result import ClusterabilityResult
from netspectra.significance.sensitivity import SeedSensitivity

__all__ = ["ClusterabilityResult", "RunPlan", "SeedSensitivity", "clusterability_test"]
