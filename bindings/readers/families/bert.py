"""BERT and its like (RoBERTa, DistilBERT, ELECTRA): encoders whose norms come after each sum."""

from collections.abc import Mapping

from netspectra.bindings.readers.families.hints import Hints
from netspectra.bindings.readers.families.transformer import Found, Scheme, find, write_block
from netspectra.bindings.readers.families.writer import Writer
from netspectra.bindings.readers.tensors import Tensor
from netspectra.networks import Network

__all__ = ["bert_network"]

_BERT = Scheme(
    r"encoder\.layer\.(?P<i>\d+)\.",
    {
        "query": ("attention.self.query.weight",),
        "key": ("attention.self.key.weight",),
        "value": ("attention.self.value.weight",),
        "out": ("attention.output.dense.weight",),
        "norm1": ("attention.output.LayerNorm.weight", "attention.output.LayerNorm.gamma"),
        "up": ("intermediate.dense.weight",),
        "down": ("output.dense.weight",),
        "norm2": ("output.LayerNorm.weight", "output.LayerNorm.gamma"),
    },
    {
        "tokens": ("embeddings.word_embeddings.weight",),
        "norm": ("embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma"),
        "projection": ("embeddings_project.weight",),
        "pooler": ("pooler.dense.weight",),
        "transform": ("cls.predictions.transform.dense.weight", "lm_head.dense.weight"),
        "transform_norm": (
            "cls.predictions.transform.LayerNorm.weight",
            "cls.predictions.transform.LayerNorm.gamma",
            "lm_head.layer_norm.weight",
        ),
        "decoder": ("cls.predictions.decoder.weight", "lm_head.decoder.weight"),
        "classifier_dense": ("classifier.dense.weight",),
        "classifier": ("classifier.weight", "classifier.out_proj.weight", "qa_outputs.weight"),
    },
)
_DISTIL = Scheme(
    r"transformer\.layer\.(?P<i>\d+)\.",
    {
        "query": ("attention.q_lin.weight",),
        "key": ("attention.k_lin.weight",),
        "value": ("attention.v_lin.weight",),
        "out": ("attention.out_lin.weight",),
        "norm1": ("sa_layer_norm.weight",),
        "up": ("ffn.lin1.weight",),
        "down": ("ffn.lin2.weight",),
        "norm2": ("output_layer_norm.weight",),
    },
    {
        "tokens": ("embeddings.word_embeddings.weight",),
        "norm": ("embeddings.LayerNorm.weight",),
        "transform": ("vocab_transform.weight",),
        "transform_norm": ("vocab_layer_norm.weight",),
        "decoder": ("vocab_projector.weight",),
        "classifier_dense": ("pre_classifier.weight",),
        "classifier": ("classifier.weight", "qa_outputs.weight"),
    },
)


def bert_network(tensors: Mapping[str, Tensor], hints: Hints, label: str, origin: str) -> Network | None:
    """Return the network of a BERT-like encoder, with what is stored of its heads; None where there is none."""
    found = find(_BERT, tensors, label) or find(_DISTIL, tensors, label)
    if found is None or "tokens" not in found.outer:
        return None
    writer = Writer(tensors, "out-in", "a BERT-like encoder")
    stream = writer.norm(found.outer.get("norm"), writer.embedding(found.outer["tokens"], "input"))
    if "projection" in found.outer:
        stream = writer.dense(found.outer["projection"], stream)
    for names in found.blocks:
        stream = write_block(writer, names, stream, hints, pre_norm=False)
    return writer.network({"input": (1, 1)}, _heads(writer, found, stream, hints), origin)


def _heads(writer: Writer, found: Found, stream: str, hints: Hints) -> str:
    """Masked-language, pooling and classifying heads, each reading the encoder; the last one stored is the output."""
    outer, output = found.outer, stream
    if "transform" in outer:
        output = writer.norm(outer.get("transform_norm"), writer.dense(outer["transform"], stream))
        if "decoder" in outer or hints.tied is not False:
            output = writer.dense(outer.get("decoder", outer["tokens"]), output, name="decoder")
    if not {"pooler", "classifier", "classifier_dense"} & outer.keys():
        return output
    output = stream
    if not outer.get("classifier", "").startswith("qa_outputs"):
        output = writer.write("reduce", "pooler", (stream,), {"axes": (1,)})
    for role in ("pooler", "classifier_dense", "classifier"):
        if role in outer:
            output = writer.dense(outer[role], output)
    return output
