"""netspectra: how modular is a trained network, where are its modules, and is that more than chance?

This module is only the façade: every public name, each imported from its room at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from netspectra.progress import set_drawer as _set_drawer

if TYPE_CHECKING:
    from netspectra import errors
    from netspectra.bindings.examples import example_graph
    from netspectra.bindings.readers import LoadLimits, load
    from netspectra.clustering import Partition, ncut, spectral_clustering
    from netspectra.graph import Block, Layer, LayerGraph
    from netspectra.graph.laplacian import normalized_laplacian
    from netspectra.kernels import available_backends, get_backend
    from netspectra.nulls import null_network
    from netspectra.significance import ClusterabilityResult, clusterability_test
    from netspectra.spectrum import Eigenpairs, eigenpairs
    from netspectra.training.channel_weights import channel_weights

__version__ = "0.1.0"

_ROOMS = {
    "netspectra.bindings.examples": ("example_graph",),
    "netspectra.bindings.readers": ("LoadLimits", "load"),
    "netspectra.clustering": ("Partition", "ncut", "spectral_clustering"),
    "netspectra.graph": ("Block", "Layer", "LayerGraph"),
    "netspectra.graph.laplacian": ("normalized_laplacian",),
    "netspectra.kernels": ("available_backends", "get_backend"),
    "netspectra.nulls": ("null_network",),
    "netspectra.significance": ("ClusterabilityResult", "clusterability_test"),
    "netspectra.spectrum": ("Eigenpairs", "eigenpairs"),
    "netspectra.training.channel_weights": ("channel_weights",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Block",
    "ClusterabilityResult",
    "Eigenpairs",
    "Layer",
    "LayerGraph",
    "LoadLimits",
    "Partition",
    "available_backends",
    "channel_weights",
    "clusterability_test",
    "eigenpairs",
    "errors",
    "example_graph",
    "get_backend",
    "load",
    "ncut",
    "normalized_laplacian",
    "null_network",
    "spectral_clustering",
]


def _draw_progress(setting: bool | None) -> Any:
    return import_module("netspectra.bindings.progress").progress_drawer(setting)


_set_drawer(_draw_progress)


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("netspectra.errors")
    if name in _ROOM_OF:
        value = getattr(import_module(_ROOM_OF[name]), name)
        globals()[name] = value
        return value
    msg = f"module 'netspectra' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
