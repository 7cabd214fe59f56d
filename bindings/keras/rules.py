"""Which rule writes down which layer."""

from collections.abc import Callable, Sequence

from netspectra.bindings.keras.attentions import ATTENTIONS
from netspectra.bindings.keras.configuration import Layer
from netspectra.bindings.keras.convolutions import CONVOLUTIONS
from netspectra.bindings.keras.dense_layers import DENSE_LAYERS
from netspectra.bindings.keras.elementwise import ELEMENTWISE
from netspectra.bindings.keras.merges import MERGES
from netspectra.bindings.keras.normalisations import NORMALISATIONS
from netspectra.bindings.keras.operations import OPERATIONS
from netspectra.bindings.keras.pooling import POOLING
from netspectra.bindings.keras.recurrent import RECURRENT
from netspectra.bindings.keras.shaping import SHAPING
from netspectra.bindings.keras.tape import Step

__all__ = ["rule_for"]

Rule = Callable[[Step], str | Sequence[str]]

RULES: dict[str, Rule] = {
    **DENSE_LAYERS,
    **CONVOLUTIONS,
    **POOLING,
    **NORMALISATIONS,
    **ELEMENTWISE,
    **MERGES,
    **SHAPING,
    **ATTENTIONS,
    **RECURRENT,
}


def rule_for(layer: Layer) -> Rule:
    """Return the rule of a layer's class; that of unknown layers makes it opaque."""
    return (OPERATIONS if layer.is_operation else RULES).get(layer.kind, _unknown)


def _unknown(step: Step) -> str:
    kind = step.layer.kind
    if kind == "Lambda":
        return step.opaque("Lambda holds code, which is never run")
    return step.opaque(f"{kind} is no layer that is known here")
