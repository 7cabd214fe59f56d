"""Every operator that is represented, and what records it."""

from netspectra.bindings.onnx import (
    emit_arrangement,
    emit_attention,
    emit_einsum,
    emit_elementwise,
    emit_normalisation,
    emit_recurrent,
    emit_sampling,
    emit_sequences,
    emit_weighted,
)
from netspectra.bindings.onnx.emitter import Emitter

__all__ = ["EMITTERS"]

EMITTERS: dict[str, Emitter] = {
    **emit_arrangement.EMITTERS,
    **emit_attention.EMITTERS,
    **emit_einsum.EMITTERS,
    **emit_elementwise.EMITTERS,
    **emit_normalisation.EMITTERS,
    **emit_recurrent.EMITTERS,
    **emit_sampling.EMITTERS,
    **emit_sequences.EMITTERS,
    **emit_weighted.EMITTERS,
}
"""Type of a node, with its domain before it but for the standard one, to its emitter."""
