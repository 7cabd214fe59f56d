"""Flax: parameters in memory, as nested dictionaries, to the graph of their network. Flax itself is not imported.

>>> from netspectra.bindings.flax import graph_from_pytree
>>> graph = graph_from_pytree(variables)  # doctest: +SKIP
"""

from netspectra.bindings.flax.pytree import graph_from_pytree, network_from_pytree

__all__ = ["graph_from_pytree", "network_from_pytree"]
