"""Named tensors without a topology, made into a network: families are known by their names, the rest are chains."""

from collections.abc import Mapping, Sequence
from typing import Any

from netspectra.bindings.readers.arrays import tensor_from
from netspectra.bindings.readers.chain import chain_network
from netspectra.bindings.readers.families import Hints, family_network
from netspectra.bindings.readers.orientation import OrientationChoice, require_orientation
from netspectra.bindings.readers.pruned import with_masks_applied
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["network_from_tensors", "network_of"]


def network_from_tensors(
    tensors: Mapping[str, Any],
    *,
    order: Sequence[str] | None = None,
    orientation: OrientationChoice = "auto",
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    config: Mapping[str, Any] | None = None,
) -> Network:
    """Make a network of named tensors: a state dict, the arrays of a file.

    Transformers of known families (GPT-2, LLaMA and its like, BERT and its like, ViT) are recognised by the names that
    Hugging Face, their authors, torchvision or timm give. Everything else is read as a chain of dense layers and
    convolutions; normalisations are folded in where names say what they follow.

    Parameters
    ----------
    tensors : mapping of str to array or Weight
        NumPy arrays, those of other libraries on the host, or :class:`~netspectra.networks.Weight` not read yet.
    order : sequence of str, optional
        Exactly the weights of a chain, input side first. By default the order of the mapping, where that is not
        simply the sorted one and the shapes chain in it; else the natural order of the names.
    orientation : {"auto", "in-out", "out-in"}, default "auto"
        How weights are stored: see :func:`~netspectra.bindings.readers.load`.
    n_heads, n_kv_heads : int, optional
        Attention heads, and those of keys and values, where shapes do not tell and it matters.
    config : mapping, optional
        What Hugging Face's ``config.json`` says (``num_attention_heads``, ``tie_word_embeddings`` …).

    Raises
    ------
    GraphError, AmbiguousOrientationError, FileFormatError
        If no network can be made; the message says what was expected and what to give.
    """
    given: Any = tensors
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        msg = f"tensors must be a mapping from names to arrays, got {type(tensors).__name__}"
        raise GraphError(msg)
    named = {name: tensor_from(name, value) for name, value in tensors.items()}
    hints = Hints.of(config, n_heads=n_heads, n_kv_heads=n_kv_heads)
    return network_of(named, order=order, orientation=orientation, label="tensors", hints=hints, in_order=True)


def network_of(
    tensors: Mapping[str, Tensor],
    *,
    order: Sequence[str] | None,
    orientation: OrientationChoice,
    label: str,
    hints: Hints,
    in_order: bool = False,
    origin: str = "tensors",
) -> Network:
    """Make a network of tensors; see :func:`network_from_tensors`."""
    require_orientation(orientation)
    tensors = with_masks_applied(tensors)
    if order is None:
        family = family_network(tensors, hints, label, origin)
        if family is not None:
            return family
    return chain_network(tensors, order=order, orientation=orientation, label=label, in_order=in_order, origin=origin)
