"""Scaled dot-product attention in its fused forms; masks have no nodes."""

from typing import Any

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Flow

__all__ = ["ATTENTION"]


def attention(call: Call) -> Any:
    """Attention of (..., heads, positions, dimensions); fewer heads of keys and values are repeated, in groups."""
    query, key, value = call["query"], call["key"], call["value"]
    if call.get("enable_gqa"):
        key, value = (_repeated(call, query, part) for part in (key, value))
    made = call.emit("attention", query, key, value, shape=call.shape)
    return [made] if call.is_list else made


def _repeated(call: Call, query: Any, part: Any) -> Any:
    n_heads, n_own = query.shape[-3], part.shape[-3]
    if n_heads == n_own or not isinstance(part, Flow):
        return part
    axis = len(part.shape or ()) - 3
    shape = (*(part.shape or ())[:axis], n_heads, *(part.shape or ())[axis + 1 :])
    return call.emit("repeat", part, shape=shape, axis=axis, times=int(n_heads) // int(n_own))


_FUSED = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention", "math")

ATTENTION: dict[str, Emitter] = {
    "scaled_dot_product_attention": attention,
    **{f"_scaled_dot_product_{how}": attention for how in _FUSED},
    "_scaled_dot_product_attention_math": attention,
    "_scaled_dot_product_attention_math_for_mps": attention,
    "_scaled_dot_product_fused_attention_overrideable": attention,
}
"""ATen operation to its emitter."""
