"""Reading networks from files, none of which may run code.

>>> from netspectra.bindings.readers import inspect_file, load
>>> graph = load("model.safetensors")  # doctest: +SKIP
>>> inspect_file("model.safetensors").summary()  # doctest: +SKIP
"""

from netspectra.bindings.readers.collection import network_from_tensors
from netspectra.bindings.readers.inspection import FileInspection, inspect_file
from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.loading import load
from netspectra.bindings.readers.selection import LoadReport, SkippedTensor, TensorRecord

__all__ = [
    "FileInspection",
    "LoadLimits",
    "LoadReport",
    "SkippedTensor",
    "TensorRecord",
    "inspect_file",
    "load",
    "network_from_tensors",
]
