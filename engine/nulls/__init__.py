"""Null networks: the same architecture, its weights shuffled or resampled within each learned block."""

from netspectra.nulls.model import NULL_MODELS, NullModel, NullName
from netspectra.nulls.network import null_network

__all__ = ["NULL_MODELS", "NullModel", "NullName", "null_network"]
