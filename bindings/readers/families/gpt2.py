"""GPT-2: OpenAI's and Hugging Face's, whose matrices are (in, out), and nanoGPT's, whose are (out, in)."""

from collections.abc import Mapping

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.families.transformer import Scheme, find, write_block
from netspectra.bindings.readers.families.writer import Writer
from netspectra.bindings.readers.tensors import Tensor
from netspectra.errors import GraphError
from netspectra.networks import Network

__all__ = ["gpt2_network"]

_GPT2 = Scheme(
    r"h\.(?P<i>\d+)\.",
    {
        "qkv": ("attn.c_attn.weight",),
        "out": ("attn.c_proj.weight",),
        "up": ("mlp.c_fc.weight",),
        "down": ("mlp.c_proj.weight",),
        "norm1": ("ln_1.weight",),
        "norm2": ("ln_2.weight",),
    },
    {"tokens": ("wte.weight",), "norm": ("ln_f.weight",), "head": ("lm_head.weight",)},
)


def gpt2_network(tensors: Mapping[str, Tensor], hints: Hints, label: str, origin: str) -> Network | None:
    """Return the network of a GPT-2, None where there is none; its head is the token embedding unless stored."""
    found = find(_GPT2, tensors, label)
    if found is None or "tokens" not in found.outer:
        return None
    rows, columns = tensors[found.blocks[0]["qkv"]].shape
    if 3 * rows != columns and 3 * columns != rows:
        msg = f"{label}: expected {found.blocks[0]['qkv']!r} of shape (n, 3n) or (3n, n), got {(rows, columns)}"
        raise GraphError(msg)
    writer = Writer(tensors, "in-out" if columns > rows else "out-in", "a GPT-2")
    stream = writer.embedding(found.outer["tokens"], "input")
    for names in found.blocks:
        stream = write_block(writer, names, stream, hints, pre_norm=True)
    stream = writer.norm(found.outer.get("norm"), stream)
    if "head" in found.outer or hints.tied is not False:
        head = found.outer.get("head", found.outer["tokens"])
        stream = writer.dense(head, stream, name="lm_head", orientation="out-in")
    return writer.network({"input": (1, 1)}, stream, origin)
