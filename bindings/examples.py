"""The trained networks inside the package: a 784-256-256-256-256-10 perceptron on MNIST digits, dense and pruned."""

import atexit
from contextlib import ExitStack
from importlib.resources import as_file, files
from pathlib import Path

from netspectra.bindings.readers.loading import load
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph

__all__ = ["EXAMPLES", "example_graph", "example_path"]

EXAMPLES = ("mnist-mlp", "mnist-mlp-pruned")
"""Names of the networks: as trained, and pruned by magnitude to 90% with fine-tuning."""

_UNPACKED = ExitStack()
atexit.register(_UNPACKED.close)


def example_graph(name: str) -> LayerGraph:
    """Return a trained network that is shipped in the package.

    Parameters
    ----------
    name : {"mnist-mlp", "mnist-mlp-pruned"}
        784-256-256-256-256-10, trained on 10,000 MNIST digits, float32; the second has a tenth of the weights.

    Raises
    ------
    GraphError
        For another name; the message lists them.
    """
    return load(example_path(name), orientation="out-in")


def example_path(name: str) -> Path:
    """Return the file of an example network (unpacked for this process, where the package lies in a zip archive).

    Raises
    ------
    GraphError
        For a name that is none of :data:`EXAMPLES`.
    """
    if name not in EXAMPLES:
        msg = f"name must be one of the example networks {', '.join(EXAMPLES)}, got {name!r}"
        raise GraphError(msg)
    resource = files("netspectra.bindings") / "data" / f"{name}.safetensors"
    return _UNPACKED.enter_context(as_file(resource))
