"""From a file to a layer graph: open, make a network of it, build its graph."""

import os
from collections.abc import Sequence
from typing import Literal

from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.bindings.readers.opening import Reading, open_network
from netspectra.bindings.readers.orientation import OrientationChoice
from netspectra.bindings.readers.selection import with_more_skipped
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph
from netspectra.networks import GraphChoices, Network
from netspectra.networks.build import plan_graph

__all__ = ["load"]


def load(
    path: str | os.PathLike[str],
    *,
    orientation: OrientationChoice = "auto",
    order: Sequence[str] | None = None,
    architecture: str | os.PathLike[str] | Network | None = None,
    limits: LoadLimits | None = None,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    norm: Literal["l1", "l2", "operator-1"] = "l1",
    input_layer: bool = True,
    dense_head: bool = True,
    residual: Literal["shared", "per-layer"] = "shared",
    attention: Literal["dimensions", "heads"] = "dimensions",
    normalisation: Literal["fold", "skip"] = "fold",
) -> LayerGraph:
    """Read a network from a file and build its graph of neurons.

    ONNX and Keras files hold their topology. Files of tensors (safetensors, npz, PyTorch state dicts) do not: known
    transformers (GPT-2, LLaMA and its like, BERT and its like, ViT) are recognised by the names of their tensors,
    weights that chain are read as dense layers and convolutions that follow one another, and any other topology is
    given as an `architecture`. What is skipped is named with the reason on the logger ``netspectra``.

    Parameters
    ----------
    path : str or path-like
        ``.safetensors`` (weights are used in place through a memory map), ``.npz`` (unpacked into memory, never
        unpickled), ``.pt``, ``.pth`` or ``.bin`` (state dicts; needs torch >= 2.6), ``.onnx``, ``.keras``, ``.h5`` or
        ``.hdf5``.
    orientation : {"auto", "in-out", "out-in"}, default "auto"
        How a chain's weights are stored, decided once for the whole file: ``"out-in"`` is (n_out, n_in) and
        (n_out, n_in, height, width), PyTorch and ONNX; ``"in-out"`` is (n_in, n_out) and (height, width, n_in, n_out),
        Keras and Flax; ``"auto"`` finds out from the shapes that chain.
    order : sequence of str, optional
        Keys of exactly the weights of a chain to read, input side first; by default all of them in natural order of the
        keys (a PyTorch state dict: in its own order where that chains). Normalisations that follow them are folded in.
    architecture : str, path-like or Network, optional
        A topology that names the file's tensors, as
        :func:`~netspectra.networks.architecture.save_architecture` writes it.
    limits : LoadLimits, optional
        Sizes beyond which a file is refused, before anything is allocated.
    n_heads, n_kv_heads : int, optional
        Attention heads of a transformer, where shapes do not tell and no ``config.json`` lies beside the file.
    norm : {"l1", "l2", "operator-1"}, default "l1"
        Of the kernel slice between two channels: the weight of their edge.
    input_layer, dense_head : bool, default True
        Whether the inputs, and the dense layers at the end of a convolutional network, are part of the graph.
    residual : {"shared", "per-layer"}, default "shared"
        A residual stream is one group of nodes, or one for each place where it is written.
    attention : {"dimensions", "heads"}, default "dimensions"
        What the nodes of attention are.
    normalisation : {"fold", "skip"}, default "fold"
        Whether factors of normalisations whose results several layers read are folded into those layers' weights, which
        copies them, or left out, so that the weights of a large language model are used in place.

    Returns
    -------
    LayerGraph
        The inputs' layer is called ``input``, the others after the tensors that make them.

    Raises
    ------
    FileFormatError
        If the file is missing, of an unknown suffix, damaged, not what its suffix says, or holds no weights.
    LimitError
        If it is larger than `limits` allow.
    AmbiguousOrientationError
        If the weights chain in both orientations and `orientation` is ``"auto"``.
    GraphError
        If the weights do not chain, hold NaN or infinite values, or what was asked for makes no sense.
    """
    choices = GraphChoices(norm, input_layer, dense_head, residual, attention, normalisation)
    reading = Reading(orientation, order, architecture, n_heads, n_kv_heads, heads_matter=attention == "heads")
    with open_network(path, reading, as_limits(limits)) as found:
        if found.problem is not None:
            raise found.problem
        assert found.network is not None
        try:
            plan = plan_graph(found.network, **vars(choices))
            with_more_skipped(found.report, plan.skipped).log()
            return plan.build()
        except GraphError as error:
            msg = f"{found.path}: {error}"
            raise type(error)(msg) from error
