"""Checks of arguments, with messages that name the argument, what was expected, what came, and what to do."""

from netspectra.validation.arguments import (
    MAX_N_INIT,
    MAX_N_NULLS,
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
    "MAX_N_INIT",
    "MAX_N_NULLS",
    "require_choice",
    "require_clusters",
    "require_count",
    "require_graph",
    "require_index",
    "require_labels",
    "require_seed",
    "require_tolerance",
]
