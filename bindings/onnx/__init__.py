"""ONNX models: the network that a file or a `ModelProto` describes, and its graph of neurons.

>>> from netspectra.bindings.onnx import graph_from_onnx
>>> graph = graph_from_onnx("model.onnx")  # doctest: +SKIP

Reading needs the package `onnx` (``pip install "netspectra[onnx]"``), for its protocol buffers alone: no model is run,
checked or rewritten by it, and weights are never parsed but stay where they lie in the file.
"""

from netspectra.bindings.onnx.reader import graph_from_onnx, network_from_onnx

__all__ = ["graph_from_onnx", "network_from_onnx"]
