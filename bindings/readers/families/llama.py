"""LLaMA and its like (Mistral, Qwen, Phi-3, SmolLM …): RMS norms, rotations, grouped queries, gated perceptrons."""

from collections.abc import Mapping

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.families.transformer import Scheme, find, write_block
from netspectra.bindings.readers.families.writer import Writer
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["llama_network"]

_HUGGING_FACE = Scheme(
    r"layers\.(?P<i>\d+)\.",
    {
        "query": ("self_attn.q_proj.weight",),
        "key": ("self_attn.k_proj.weight",),
        "value": ("self_attn.v_proj.weight",),
        "qkv": ("self_attn.qkv_proj.weight",),
        "out": ("self_attn.o_proj.weight",),
        "query_norm": ("self_attn.q_norm.weight",),
        "key_norm": ("self_attn.k_norm.weight",),
        "gate": ("mlp.gate_proj.weight",),
        "up": ("mlp.up_proj.weight",),
        "gate_up": ("mlp.gate_up_proj.weight",),
        "down": ("mlp.down_proj.weight",),
        "norm1": ("input_layernorm.weight",),
        "norm2": ("post_attention_layernorm.weight",),
    },
    {"tokens": ("embed_tokens.weight",), "norm": ("norm.weight",), "head": ("lm_head.weight",)},
)
_META = Scheme(
    r"layers\.(?P<i>\d+)\.",
    {
        "query": ("attention.wq.weight",),
        "key": ("attention.wk.weight",),
        "value": ("attention.wv.weight",),
        "out": ("attention.wo.weight",),
        "gate": ("feed_forward.w1.weight",),
        "up": ("feed_forward.w3.weight",),
        "down": ("feed_forward.w2.weight",),
        "norm1": ("attention_norm.weight",),
        "norm2": ("ffn_norm.weight",),
    },
    {"tokens": ("tok_embeddings.weight",), "norm": ("norm.weight",), "head": ("output.weight",)},
)


def llama_network(tensors: Mapping[str, Tensor], hints: Hints, label: str, origin: str) -> Network | None:
    """Return the network of a LLaMA-like decoder, None where there is none.

    A language model (its names begin with ``model.``) without an output layer of its own uses the token embedding.
    """
    found = find(_HUGGING_FACE, tensors, label) or find(_META, tensors, label)
    if found is None or "tokens" not in found.outer:
        return None
    _require_known_norms(tensors, hints, label)
    writer = Writer(tensors, "out-in", "a LLaMA-like decoder")
    stream = writer.embedding(found.outer["tokens"], "input")
    for names in found.blocks:
        stream = write_block(writer, names, stream, hints, pre_norm=True)
    stream = writer.norm(found.outer.get("norm"), stream)
    tied = found.prefix.endswith("model.") if hints.tied is None else hints.tied
    if "head" in found.outer or tied:
        head = found.outer.get("head", found.outer["tokens"])
        stream = writer.dense(head, stream, name="lm_head")
    return writer.network({"input": (1, 1)}, stream, origin)


def _require_known_norms(tensors: Mapping[str, Tensor], hints: Hints, label: str) -> None:
    """Gemma's norms multiply by one plus what is stored, and it has more of them: no silent mistake."""
    if hints.model_type.startswith("gemma") or any("feedforward_layernorm" in name for name in tensors):
        msg = f"{label}: expected a LLaMA-like decoder, got Gemma's norms; give its topology with architecture=..."
        raise GraphError(msg)
