"""Vision transformers, as Hugging Face (ViT, DeiT), torchvision and timm call them."""

from collections.abc import Mapping

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.families.transformer import Found, Scheme, find, write_block
from netspectra.bindings.readers.families.writer import Writer
from netspectra.bindings.readers.tensors import Tensor
from netspectra.networks import Network

__all__ = ["vit_network"]

_HUGGING_FACE = Scheme(
    r"encoder\.layer\.(?P<i>\d+)\.",
    {
        "query": ("attention.attention.query.weight",),
        "key": ("attention.attention.key.weight",),
        "value": ("attention.attention.value.weight",),
        "out": ("attention.output.dense.weight",),
        "up": ("intermediate.dense.weight",),
        "down": ("output.dense.weight",),
        "norm1": ("layernorm_before.weight",),
        "norm2": ("layernorm_after.weight",),
    },
    {
        "patches": ("embeddings.patch_embeddings.projection.weight",),
        "norm": ("layernorm.weight",),
        "pooler": ("pooler.dense.weight",),
        "head": ("classifier.weight",),
    },
)
_TORCHVISION = Scheme(
    r"encoder\.layers\.encoder_layer_(?P<i>\d+)\.",
    {
        "qkv": ("self_attention.in_proj_weight",),
        "out": ("self_attention.out_proj.weight",),
        "up": ("mlp.0.weight", "mlp.linear_1.weight"),
        "down": ("mlp.3.weight", "mlp.linear_2.weight"),
        "norm1": ("ln_1.weight",),
        "norm2": ("ln_2.weight",),
    },
    {"patches": ("conv_proj.weight",), "norm": ("encoder.ln.weight",), "head": ("heads.head.weight",)},
)
_TIMM = Scheme(
    r"blocks\.(?P<i>\d+)\.",
    {
        "qkv": ("attn.qkv.weight",),
        "out": ("attn.proj.weight",),
        "up": ("mlp.fc1.weight",),
        "down": ("mlp.fc2.weight",),
        "norm1": ("norm1.weight",),
        "norm2": ("norm2.weight",),
    },
    {
        "patches": ("patch_embed.proj.weight",),
        "norm": ("norm.weight", "fc_norm.weight"),
        "head": ("head.weight",),
    },
)


def vit_network(tensors: Mapping[str, Tensor], hints: Hints, label: str, origin: str) -> Network | None:
    """Return the network of a vision transformer, None where there is none.

    Its head reads the mean over patches here: that of the class token has the same nodes and the same edges.
    """
    found = next((f for f in (find(s, tensors, label) for s in (_HUGGING_FACE, _TORCHVISION, _TIMM)) if f), None)
    if found is None or "patches" not in found.outer:
        return None
    writer = Writer(tensors, "out-in", "a vision transformer")
    stream, shape = _patches(writer, found)
    for names in found.blocks:
        stream = write_block(writer, names, stream, hints, pre_norm=True)
    stream = writer.norm(found.outer.get("norm"), stream)
    heads = [found.outer[role] for role in ("pooler", "head") if role in found.outer]
    if heads:
        stream = writer.write("reduce", "pooled", (stream,), {"axes": (1,)})
    for key in heads:
        stream = writer.dense(key, stream)
    return writer.network({"input": shape}, stream, origin)


def _patches(writer: Writer, found: Found) -> tuple[str, tuple[int | None, ...]]:
    key = found.outer["patches"]
    name, weight = key.removesuffix(".weight"), writer.weight(key, 4)
    n_out, n_in = weight.shape[:2]
    image = writer.write("convolution", name, ("input",), {"layout": "oihw"}, {"weight": weight}, (1, n_out, 1, 1))
    flat = writer.write("flatten", name, (image,), {"start": 2}, shape=(1, n_out, 1))
    return writer.write("transpose", name, (flat,), {"permutation": (0, 2, 1)}), (1, n_in, None, None)
