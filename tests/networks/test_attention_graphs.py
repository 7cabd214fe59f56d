"""Transformers: queries, keys, values and heads as nodes, however an attention is written down."""

from __future__ import annotations

import numpy as np
import pytest
from networks.sketch import Sketch

from netspectra.graph.batch import Structure
from netspectra.networks import graph_from_network

WIDTH, HEADS, LENGTH = 12, 3, 5


def as_heads(s, x, n_heads, width):
    x = s.do("reshape", "view", x, shape=(1, LENGTH, n_heads, width // n_heads))
    return s.do("transpose", "heads", x, permutation=(0, 2, 1, 3))


def merged(s, x, width):
    x = s.do("transpose", "back", x, permutation=(0, 2, 1, 3))
    return s.do("reshape", "merge", x, shape=(1, LENGTH, width))


def by_products(s, q, k, v, repeat=1):
    """Attention in single steps, as exporters write it."""
    if repeat > 1:
        k, v = (s.do("repeat", "repeat", x, axis=1, times=repeat) for x in (k, v))
    s.constant(f"mask{len(s.operations)}", 1, 1, LENGTH, LENGTH)
    scores = s.do("product", "scores", q, s.do("transpose", "kt", k, permutation=(0, 1, 3, 2)))
    scores = s.do("add", "mask", scores, next(reversed(s.constants)))
    return s.do("product", "mix", s.do("pass", "softmax", scores), v)


def block_of(s, h, n_kv=HEADS, fused=False, steps=False, rotate=False):
    """One attention of a residual stream."""
    width, narrow = WIDTH, WIDTH * n_kv // HEADS
    if fused:
        q, k, v = s.split(s.dense("qkv", h, width, 3 * width), -1, width, width, width)
    else:
        q, k, v = (s.dense(n, h, width, m) for n, m in (("q", width), ("k", narrow), ("v", narrow)))
    q, k, v = as_heads(s, q, HEADS, width), as_heads(s, k, n_kv, narrow), as_heads(s, v, n_kv, narrow)
    if rotate:
        q, k = (rotated(s, x) for x in (q, k))
    o = by_products(s, q, k, v, HEADS // n_kv) if steps else s.do("attention", "sdpa", q, k, v)
    return s.do("add", "sum", h, s.dense("o", merged(s, o, width), width, width))


def rotated(s, x):
    """``x cos + rotate_half(x) sin``."""
    s.constant("cos", 1, 1, LENGTH, 4)
    half = s.do("slice", "low", x, axis=-1, start=0, stop=2), s.do("slice", "high", x, axis=-1, start=2, stop=4)
    turned = s.do("concatenate", "turn", s.do("pass", "neg", half[1]), half[0], axis=-1)
    return s.do("add", "rope", s.do("multiply", "cos", x, "cos"), s.do("multiply", "sin", turned, "cos"))


def decoder(**how):
    choices = {k: how.pop(k) for k in ("attention", "residual", "norm", "dense_head") if k in how}
    s = Sketch(ids=(1, LENGTH))
    table = s.weight(20, WIDTH)
    h = s.do("embedding", "embed", "ids", weights={"weight": table}, shape=(1, LENGTH, WIDTH))
    s.dense("head", block_of(s, h, **how), WIDTH, 20)
    return s, graph_from_network(s.network(), **choices)


def edges(graph):
    names = [layer.name for layer in graph.layers]
    found = {}
    for b in graph.blocks:
        ends = names[b.source], names[b.target]
        found[ends] = found.get(ends, 0) + np.abs(np.asarray(b.weights, np.float64))
    return found


def test_queries_meet_keys_and_values_go_on():
    s, graph = decoder()
    assert [layer.name for layer in graph.layers] == ["ids", "embed", "q", "v", "head"]
    assert graph.layers[0].kind == "token"
    found = edges(graph)
    np.testing.assert_allclose(found["embed", "q"], np.abs(s.weights["q"]) + np.abs(s.weights["k"]))
    np.testing.assert_allclose(found["embed", "v"], np.abs(s.weights["v"]))
    np.testing.assert_allclose(found["v", "embed"], np.abs(s.weights["o"]))
    structure = Structure(tuple(x.size for x in graph.layers), tuple((b.source, b.target) for b in graph.blocks))
    assert structure.sides is not None
    assert structure.reduced_size == WIDTH


@pytest.mark.parametrize("attention", ["dimensions", "heads"])
@pytest.mark.parametrize("n_kv", [3, 1])
def test_single_steps_make_the_graph_of_the_fused_operation(attention, n_kv):
    graphs = [decoder(steps=steps, n_kv=n_kv, attention=attention)[1] for steps in (False, True)]
    assert [(x.name, x.size, x.kind) for x in graphs[0].layers] == [(x.name, x.size, x.kind) for x in graphs[1].layers]
    for a, b in zip(graphs[0].blocks, graphs[1].blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("attention", ["dimensions", "heads"])
def test_queries_and_keys_are_no_head_of_dense_layers(attention):
    whole, body = decoder(attention=attention)[1], decoder(attention=attention, dense_head=False)[1]
    assert [x.name for x in whole.layers if x.name != "head"] == [x.name for x in body.layers]


def test_a_fused_projection_is_three():
    s, graph = decoder(fused=True)
    W = np.abs(s.weights["qkv"])
    found = edges(graph)
    np.testing.assert_allclose(found["embed", "qkv[0:12]"], W[:, :12] + W[:, 12:24])
    np.testing.assert_allclose(found["embed", "qkv[24:36]"], W[:, 24:])
    assert all(not b.is_sparse for b in graph.blocks)


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_heads_are_the_norm_of_their_dimensions(norm):
    s, graph = decoder(attention="heads", norm=norm)
    assert [(x.name, x.size, x.kind) for x in graph.layers][2] == ("q", HEADS, "head")
    size = (lambda a, axis: np.abs(a).sum(axis)) if norm == "l1" else (lambda a, axis: np.sqrt((a * a).sum(axis)))
    parts = [size(s.weights[n].reshape(WIDTH, HEADS, -1), 2) for n in "qkv"]
    np.testing.assert_allclose(edges(graph)["embed", "q"], sum(parts), rtol=1e-5)
    np.testing.assert_allclose(edges(graph)["q", "embed"], size(s.weights["o"].reshape(HEADS, -1, WIDTH), 1), rtol=1e-5)


def test_shared_keys_are_the_nodes_of_their_queries():
    s, graph = decoder(n_kv=1)
    assert [(x.name, x.size) for x in graph.layers][2:4] == [("q", 4), ("v", 4)]
    expected = np.abs(s.weights["q"]).reshape(WIDTH, HEADS, 4).sum(1) + np.abs(s.weights["k"])
    np.testing.assert_allclose(edges(graph)["embed", "q"], expected, rtol=1e-5)
    np.testing.assert_allclose(
        edges(graph)["v", "embed"], np.abs(s.weights["o"]).reshape(HEADS, 4, WIDTH).sum(0), rtol=1e-5
    )


def test_rotary_embeddings_change_no_edge():
    plain, turned = decoder()[1], decoder(rotate=True)[1]
    for a, b in zip(plain.blocks, turned.blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


@pytest.mark.parametrize("kind", ["add", "pass"])
def test_a_mask_made_from_the_tokens_is_no_input(kind):
    s = Sketch(ids=(1, LENGTH))
    mask = s.do("reshape", "unsqueeze", s.do("pass", "equal", "ids"), shape=(1, 1, 1, LENGTH))
    h = s.do("embedding", "embed", "ids", weights={"weight": s.weight(20, WIDTH)}, shape=(1, LENGTH, WIDTH))
    q, k, v = (as_heads(s, s.dense(n, h, WIDTH, WIDTH), HEADS, WIDTH) for n in "qkv")
    scores = s.do("product", "scores", q, s.do("transpose", "kt", k, permutation=(0, 1, 3, 2)))
    masked = (
        s.do("add", "mask", scores, mask)
        if kind == "add"
        else s.do("pass", "where", mask, scores, shape=(1, HEADS, LENGTH, LENGTH))
    )
    o = merged(s, s.do("product", "mix", masked, v), WIDTH)
    s.do("add", "sum", h, s.dense("o", o, WIDTH, WIDTH))
    graph = graph_from_network(s.network())
    np.testing.assert_allclose(edges(graph)["v", "embed"], np.abs(s.weights["o"]))


def test_per_layer_sums():
    _, graph = decoder(residual="per-layer")
    assert [layer.name for layer in graph.layers] == ["ids", "embed", "q", "v", "o", "head"]
    assert [b.learned for b in graph.blocks].count(False) == 1


def test_patches_and_a_class_token():
    s = Sketch(image=(1, 3, 4, 4))
    s.constant("class", 1, 1, WIDTH)
    s.constant("position", 1, LENGTH, WIDTH)
    h = s.convolution("patch", "image", 3, WIDTH, size=2, shape=(1, WIDTH, 2, 2))
    h = s.do("transpose", "t", s.do("reshape", "flat", h, shape=(1, WIDTH, 4)), permutation=(0, 2, 1))
    h = s.do("add", "pos", s.do("concatenate", "cat", "class", h, axis=1), "position")
    h = block_of(s, h)
    s.dense(
        "head", s.do("reshape", "squeeze", s.do("slice", "cls", h, axis=1, start=0, stop=1), shape=(1, WIDTH)), WIDTH, 7
    )
    graph = graph_from_network(s.network())
    assert [(x.name, x.size) for x in graph.layers] == [("image", 3), ("patch", 12), ("q", 12), ("v", 12), ("head", 7)]


def test_normalisation_written_out_changes_nothing_but_its_scale():
    graphs = []
    for written_out in (False, True):
        s = Sketch(ids=(1, LENGTH))
        h = s.do("embedding", "embed", "ids", weights={"weight": s.weight(9, 4)}, shape=(1, LENGTH, 4))
        gamma = s.weight(4)
        n = h
        if written_out:
            mean = s.do("reduce", "mean", s.do("multiply", "square", h, h), axes=(-1,), keepdims=True)
            n = s.do("multiply", "normed", h, s.do("pass", "rsqrt", mean))
        n = s.do("scale", "gamma", n, weights={"scale": gamma}, axis=-1)
        m = s.dense("up", n, 4, 6)
        gated = s.do("multiply", "silu", m, s.do("pass", "sigmoid", m)) if written_out else s.do("pass", "silu", m)
        s.do("add", "sum", h, s.dense("down", gated, 6, 4))
        graphs.append(graph_from_network(s.network()))
    for a, b in zip(graphs[0].blocks, graphs[1].blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)
