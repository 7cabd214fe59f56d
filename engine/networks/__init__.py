"""Networks as readers find them, whatever the framework, and the graph of neurons that they make."""

from netspectra.networks.build import GraphChoices, graph_from_network
from netspectra.networks.network import Network, Operation, Skipped, Weight

__all__ = ["GraphChoices", "Network", "Operation", "Skipped", "Weight", "graph_from_network"]
