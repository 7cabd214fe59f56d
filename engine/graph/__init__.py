"""A trained network as an undirected weighted graph: layers of nodes, blocks of weights between them."""

from netspectra.graph.block import Block
from netspectra.graph.layer import Layer
from netspectra.graph.layer_graph import LayerGraph

__all__ = ["Block", "Layer", "LayerGraph"]
