"""Transformers that are known by the names of their tensors: one file for each family."""

import re
from collections.abc import Callable, Mapping

from netspectra.bindings.readers.families.bert import bert_network
from netspectra.bindings.readers.families.gpt2 import gpt2_network
from netspectra.bindings.readers.families.hints import Hints, read_config
from netspectra.bindings.readers.families.llama import llama_network
from netspectra.bindings.readers.families.vit import vit_network
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["FAMILIES", "Hints", "family_network", "read_config"]

FAMILIES: tuple[Callable[[Mapping[str, Tensor], Hints, str, str], Network | None], ...] = (
    gpt2_network,
    llama_network,
    vit_network,
    bert_network,
)
"""Readers of known families, tried in this order: a new family is a module and a line here."""

_SHARD = re.compile(r"-\d{5}-of-(\d{5})\.")


def family_network(
    tensors: Mapping[str, Tensor],
    hints: Hints,
    label: str,
    origin: str,
) -> Network | None:
    """Return the network of the first family that recognises the tensors, None where none does.

    Raises
    ------
    GraphError
        If a family recognises them, but they are not whole, or numbers of heads are missing.
    """
    network = next((n for n in (family(tensors, hints, label, origin) for family in FAMILIES) if n is not None), None)
    shard = _SHARD.search(label)
    if network is not None and shard is not None and int(shard[1]) > 1:
        msg = f"{label}: expected a whole model, got one part of {int(shard[1])}; merge the parts into one file first"
        raise GraphError(msg)
    return network
