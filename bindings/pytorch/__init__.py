"""PyTorch: graphs of modules; training for clusterability, by a penalty, an initialisation, a rescaling.

Importing this needs PyTorch: ``pip install "netspectra[torch]"``.
"""

from importlib.util import find_spec

from netspectra.errors import BackendUnavailableError

if find_spec("torch") is None:
    _MSG = (
        "netspectra.bindings.pytorch needs PyTorch, which is not installed; install it with "
        'pip install "netspectra[torch]"'
    )
    raise BackendUnavailableError(_MSG)

from netspectra.bindings.pytorch.graph import graph_from_module, network_from_module
from netspectra.bindings.pytorch.initialisation import clusterable_init_, rescale_relu_
from netspectra.bindings.pytorch.penalty import ClusterabilityPenalty

__all__ = ["ClusterabilityPenalty", "clusterable_init_", "graph_from_module", "network_from_module", "rescale_relu_"]
