"""Whatever names and shapes a collection of tensors has, it becomes a graph or a NetspectraError."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from netspectra.bindings.flax import network_from_pytree
from netspectra.bindings.readers import network_from_tensors
from netspectra.errors import NetspectraError
from netspectra.networks import graph_from_network

modules = st.sampled_from(
    [
        "0", "1", "2", "conv1", "bn1", "features.0", "features.1", "fc", "norm", "conv2d", "batch_normalization",
        "lm_head", "model.norm", "model.embed_tokens", "wte", "ln_f", "conv_proj", "encoder.ln",
        "bert.embeddings.word_embeddings",
    ]
)  # fmt: skip
inner = st.builds(
    "{}{}.{}".format,
    st.sampled_from(["h.", "model.layers.", "blocks.", "encoder.layer.", "layers.", "encoder.layers.encoder_layer_"]),
    st.integers(0, 2),
    st.sampled_from(
        [
            "attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj", "ln_1", "self_attn.q_proj", "self_attn.k_proj",
            "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "attn.qkv",
            "attn.proj", "mlp.fc1", "mlp.fc2", "attention.self.query", "self_attn.q_norm", "self_attn.qkv_proj",
        ]
    ),
)  # fmt: skip
roles = st.sampled_from(
    ["weight", "bias", "running_var", "gamma", "moving_variance", "kernel", "depthwise_kernel", "var"]
)
names = st.builds("{}.{}".format, st.one_of(modules, inner), roles)
shapes = st.lists(st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12]), max_size=5).map(tuple)
collections = st.dictionaries(names, shapes, max_size=10)


def made(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(-1, 1, math.prod(shape), dtype=np.float32).reshape(shape)


@settings(max_examples=250)
@given(collections, st.sampled_from(["auto", "in-out", "out-in"]), st.sampled_from([None, 1, 2, 3]))
def test_named_shapes(found: dict[str, tuple[int, ...]], orientation: Any, n_heads: int | None) -> None:
    tensors = {name: made(shape) for name, shape in found.items()}
    try:
        graph_from_network(network_from_tensors(tensors, orientation=orientation, n_heads=n_heads))
    except NetspectraError as error:
        assert str(error)  # noqa: PT017


LLAMA = {
    "model.embed_tokens": (6, 4), "model.norm": (4,), "self_attn.q_proj": (4, 4), "self_attn.k_proj": (4, 4),
    "self_attn.v_proj": (4, 4), "self_attn.o_proj": (4, 4), "mlp.gate_proj": (8, 4), "mlp.up_proj": (8, 4),
    "mlp.down_proj": (4, 8), "input_layernorm": (4,),
}  # fmt: skip


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(LLAMA)), shapes, max_size=3), st.sampled_from([None, 1, 2, 4]))
def test_a_family_with_wrong_shapes(wrong: dict[str, tuple[int, ...]], n_heads: int | None) -> None:
    shapes_of = {**LLAMA, **wrong}
    named = {(k if k.startswith("model") else f"model.layers.0.{k}"): made(s) for k, s in shapes_of.items()}
    tensors = {f"{name}.weight": array for name, array in named.items()}
    try:
        graph_from_network(network_from_tensors(tensors, n_heads=n_heads))
    except NetspectraError as error:
        assert str(error)  # noqa: PT017


leaves = st.one_of(shapes.map(made), st.none(), st.integers(), st.text(max_size=2))
trees = st.recursive(
    leaves,
    lambda below: st.one_of(
        st.dictionaries(
            st.sampled_from(["params", "batch_stats", "Dense_0", "Conv_0", "kernel", "scale"]), below, max_size=4
        ),
        st.lists(below, max_size=2),
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(trees)
def test_invented_trees(tree: Any) -> None:
    try:
        graph_from_network(network_from_pytree(tree))
    except NetspectraError as error:
        assert str(error)  # noqa: PT017
