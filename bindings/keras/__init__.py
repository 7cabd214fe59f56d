"""Keras models, from files and in memory, without Keras or TensorFlow.

>>> from netspectra.bindings.keras import graph_from_keras, network_from_keras
>>> graph = graph_from_keras("model.keras")  # doctest: +SKIP

Files are read with h5py alone (``pip install 'netspectra[keras]'``) and nothing in them is run: layers are known by
their class and configuration, or are skipped with the reason.
"""

from netspectra.bindings.keras.network import graph_from_keras, network_from_keras

__all__ = ["graph_from_keras", "network_from_keras"]
