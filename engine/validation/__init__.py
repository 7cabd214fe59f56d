"""Checks of arguments, with messages that name the argument, what was expected, what came, and what to do."""

from netspectra.validation.arguments import (
    require_choice,
    require_clusters,
    require_count,
    require_graph,
    require_index,
    require_labels,
    require_seed,
    require_tolerance,
)

__all__ = [
    "require_choice",
    "require_clusters",
    "require_count",
    "require_graph",
    "require_index",
    "require_labels",
    "require_seed",
    "require_tolerance",
]
