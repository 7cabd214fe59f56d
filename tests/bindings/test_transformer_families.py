"""Transformers known by the names of their tensors: the nodes, what joins them, and what cannot be known."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from netspectra.bindings.readers import inspect_file, load, network_from_tensors
from netspectra.errors import GraphError
from netspectra.graph import LayerGraph
from netspectra.networks import graph_from_network

RNG = np.random.default_rng(1)
TOKENS, WIDTH, HIDDEN, DEPTH = 11, 8, 12, 2

Tensors = dict[str, np.ndarray]


def array(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def gpt2(prefix: str = "transformer.") -> Tensors:
    tensors = {f"{prefix}wte.weight": array(TOKENS, WIDTH), f"{prefix}wpe.weight": array(16, WIDTH)}
    for i in range(DEPTH):
        at = f"{prefix}h.{i}."
        tensors |= {
            f"{at}ln_1.weight": array(WIDTH),
            f"{at}ln_1.bias": array(WIDTH),
            f"{at}attn.bias": np.ones((1, 1, 16, 16), np.float32),
            f"{at}attn.c_attn.weight": array(WIDTH, 3 * WIDTH),
            f"{at}attn.c_attn.bias": array(3 * WIDTH),
            f"{at}attn.c_proj.weight": array(WIDTH, WIDTH),
            f"{at}ln_2.weight": array(WIDTH),
            f"{at}mlp.c_fc.weight": array(WIDTH, HIDDEN),
            f"{at}mlp.c_proj.weight": array(HIDDEN, WIDTH),
        }
    tensors[f"{prefix}ln_f.weight"] = array(WIDTH)
    return tensors


def llama(*, n_kv: int = WIDTH, head: bool = True, names: str = "hf") -> Tensors:
    hf = {
        "tok": "model.embed_tokens", "end": "model.norm", "head": "lm_head", "block": "model.layers.",
        "q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
        "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj",
        "n1": "input_layernorm", "n2": "post_attention_layernorm",
    }  # fmt: skip
    meta = {
        "tok": "tok_embeddings", "end": "norm", "head": "output", "block": "layers.",
        "q": "attention.wq", "k": "attention.wk", "v": "attention.wv", "o": "attention.wo",
        "gate": "feed_forward.w1", "up": "feed_forward.w3", "down": "feed_forward.w2",
        "n1": "attention_norm", "n2": "ffn_norm",
    }  # fmt: skip
    call = hf if names == "hf" else meta
    rng = np.random.default_rng(5)
    shapes = {
        "q": (WIDTH, WIDTH), "k": (n_kv, WIDTH), "v": (n_kv, WIDTH), "o": (WIDTH, WIDTH),
        "gate": (HIDDEN, WIDTH), "up": (HIDDEN, WIDTH), "down": (WIDTH, HIDDEN), "n1": (WIDTH,), "n2": (WIDTH,),
    }  # fmt: skip
    tensors = {f"{call['tok']}.weight": rng.standard_normal((TOKENS, WIDTH)).astype(np.float32)}
    for i in range(DEPTH):
        for role, shape in shapes.items():
            tensors[f"{call['block']}{i}.{call[role]}.weight"] = rng.standard_normal(shape).astype(np.float32)
    tensors[f"{call['end']}.weight"] = np.ones(WIDTH, np.float32)
    if head:
        tensors[f"{call['head']}.weight"] = rng.standard_normal((TOKENS, WIDTH)).astype(np.float32)
    return tensors


def bert() -> Tensors:
    tensors = {
        "bert.embeddings.word_embeddings.weight": array(TOKENS, WIDTH),
        "bert.embeddings.position_embeddings.weight": array(16, WIDTH),
        "bert.embeddings.token_type_embeddings.weight": array(2, WIDTH),
        "bert.embeddings.LayerNorm.weight": array(WIDTH),
        "bert.embeddings.LayerNorm.bias": array(WIDTH),
    }
    for i in range(DEPTH):
        at = f"bert.encoder.layer.{i}."
        tensors |= {f"{at}attention.self.{part}.weight": array(WIDTH, WIDTH) for part in ("query", "key", "value")}
        tensors |= {
            f"{at}attention.output.dense.weight": array(WIDTH, WIDTH),
            f"{at}attention.output.LayerNorm.weight": array(WIDTH),
            f"{at}intermediate.dense.weight": array(HIDDEN, WIDTH),
            f"{at}output.dense.weight": array(WIDTH, HIDDEN),
            f"{at}output.LayerNorm.weight": array(WIDTH),
        }
    return tensors | {"bert.pooler.dense.weight": array(WIDTH, WIDTH), "classifier.weight": array(3, WIDTH)}


def vit(program: str) -> Tensors:
    roles = {
        "q": (WIDTH, WIDTH), "k": (WIDTH, WIDTH), "v": (WIDTH, WIDTH), "qkv": (3 * WIDTH, WIDTH), "o": (WIDTH, WIDTH),
        "up": (HIDDEN, WIDTH), "down": (WIDTH, HIDDEN), "n1": (WIDTH,), "n2": (WIDTH,),
    }  # fmt: skip
    calls = {
        "hf": (
            "vit.embeddings.patch_embeddings.projection.weight", "vit.encoder.layer.{i}.", "vit.layernorm.weight",
            "classifier.weight",
            {"q": "attention.attention.query.weight", "k": "attention.attention.key.weight",
             "v": "attention.attention.value.weight", "o": "attention.output.dense.weight",
             "up": "intermediate.dense.weight", "down": "output.dense.weight",
             "n1": "layernorm_before.weight", "n2": "layernorm_after.weight"},
        ),
        "torchvision": (
            "conv_proj.weight", "encoder.layers.encoder_layer_{i}.", "encoder.ln.weight", "heads.head.weight",
            {"qkv": "self_attention.in_proj_weight", "o": "self_attention.out_proj.weight", "up": "mlp.0.weight",
             "down": "mlp.3.weight", "n1": "ln_1.weight", "n2": "ln_2.weight"},
        ),
        "timm": (
            "patch_embed.proj.weight", "blocks.{i}.", "norm.weight", "head.weight",
            {"qkv": "attn.qkv.weight", "o": "attn.proj.weight", "up": "mlp.fc1.weight", "down": "mlp.fc2.weight",
             "n1": "norm1.weight", "n2": "norm2.weight"},
        ),
    }  # fmt: skip
    patches, block, norm, head, names = calls[program]
    tensors = {patches: array(WIDTH, 3, 4, 4), "cls_token": array(1, 1, WIDTH), "pos_embed": array(1, 5, WIDTH)}
    for i in range(DEPTH):
        tensors |= {block.format(i=i) + name: array(*roles[role]) for role, name in names.items()}
    return tensors | {norm: array(WIDTH), head: array(4, WIDTH)}


def sizes(graph: LayerGraph) -> list[int]:
    return [layer.size for layer in graph.layers]


def block_between(graph: LayerGraph, source: str, target: str) -> Any:
    names = [layer.name for layer in graph.layers]
    (block,) = [b for b in graph.blocks if (b.source, b.target) == (names.index(source), names.index(target))]
    return np.asarray(block.weights, np.float32)


FAMILIES: dict[str, tuple[Callable[[], Tensors], int]] = {
    "gpt2": (gpt2, 0),
    "openai": (lambda: gpt2(""), 0),
    "llama": (llama, 0),
    "meta": (lambda: llama(names="meta"), 0),
    "bert": (bert, 0),
    "vit": (lambda: vit("hf"), 3),
    "torchvision": (lambda: vit("torchvision"), 3),
    "timm": (lambda: vit("timm"), 3),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_known_by_its_names(family: str) -> None:
    """One residual stream; in each block keys with queries, values, and hidden units."""
    make, _ = FAMILIES[family]
    tensors = make()
    network = network_from_tensors(tensors)
    graph = graph_from_network(network)
    inside = [WIDTH, WIDTH, HIDDEN] * DEPTH  # queries and keys meet in one node per dimension
    first = 3 if "patch_embed" in " ".join(tensors) or "conv_proj.weight" in tensors else TOKENS
    outer = {"bert": [WIDTH, 3], "vit": [4], "torchvision": [4], "timm": [4]}.get(family, [TOKENS])
    assert sizes(graph) == [first, WIDTH, *inside, *outer]
    matrices = {name for name, array in tensors.items() if array.ndim >= 2}
    used = {weight.key for operation in network.operations for weight in operation.weights.values()}
    constants = {s.name for s in network.skipped if s.reason.startswith("a constant")}
    assert matrices <= used | constants
    assert not [s for s in network.skipped if "no part of" in s.reason]


def test_the_edges_of_a_decoder_are_its_weights() -> None:
    tensors = llama()
    graph = graph_from_network(network_from_tensors(tensors))
    np.testing.assert_array_equal(
        block_between(graph, "input", "model.embed_tokens"), tensors["model.embed_tokens.weight"]
    )
    down = tensors["model.layers.1.mlp.down_proj.weight"]
    hidden = next(layer.name for layer in graph.layers if "layers.1.mlp" in layer.name)
    np.testing.assert_array_equal(block_between(graph, hidden, "model.embed_tokens"), down.T)
    value = "model.layers.0.self_attn.v_proj"
    scaled = tensors[f"{value}.weight"] * tensors["model.layers.0.input_layernorm.weight"]
    np.testing.assert_allclose(np.abs(block_between(graph, "model.embed_tokens", value)), np.abs(scaled.T), rtol=1e-6)
    np.testing.assert_array_equal(block_between(graph, "model.embed_tokens", "lm_head"), tensors["lm_head.weight"].T)


def test_names_of_two_programs_give_the_same_graph() -> None:
    one, other = (graph_from_network(network_from_tensors(llama(names=names))) for names in ("hf", "meta"))
    assert sizes(one) == sizes(other)
    for a, b in zip(one.blocks, other.blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_matrices_of_gpt2_lie_either_way() -> None:
    tensors = gpt2()
    turned = {n: a.T.copy() if re.search(r"c_(attn|proj|fc)\.weight", n) else a for n, a in tensors.items()}
    one, other = (graph_from_network(network_from_tensors(t)) for t in (tensors, turned))
    for a, b in zip(one.blocks, other.blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_an_output_layer_that_is_not_stored_is_the_embedding(tmp_path: Path) -> None:
    tensors = llama(head=False)
    graph = graph_from_network(network_from_tensors(tensors))
    np.testing.assert_array_equal(
        block_between(graph, "model.embed_tokens", "lm_head"), tensors["model.embed_tokens.weight"].T
    )
    untied = graph_from_network(network_from_tensors(tensors, config={"tie_word_embeddings": False}))
    assert "lm_head" not in [layer.name for layer in untied.layers]
    assert "lm_head" in [layer.name for layer in graph_from_network(network_from_tensors(gpt2(""))).layers]


def test_grouped_queries_need_the_number_of_heads(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(llama(n_kv=4), path)
    with pytest.raises(
        GraphError, match=r"heads cannot be known from shapes \(queries 8, keys 4\); pass n_heads="
    ) as error:
        load(path)
    assert "config.json" in str(error.value)
    assert "pass n_heads=" in str(inspect_file(path).problem)
    graph = load(path, n_heads=4)
    assert sizes(graph) == [TOKENS, WIDTH, *[4, 4, HIDDEN] * DEPTH, TOKENS]
    assert sizes(load(path, n_kv_heads=2)) == sizes(graph)
    (tmp_path / "config.json").write_text(json.dumps({"num_attention_heads": 4, "num_key_value_heads": 2}))
    assert sizes(load(path)) == sizes(graph)
    assert sizes(load(path, attention="heads"))[2] == 2
    with pytest.raises(GraphError, match="not those of n_heads=3"):
        load(path, n_heads=3)
    for content in ("{", "[]", "\x00", '{"num_attention_heads": null}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(GraphError, match="pass n_heads="):
            load(path)
    (tmp_path / "config.json").write_text('{"num_attention_heads": "4"}')
    with pytest.raises(GraphError, match="n_heads must be a positive integer, got '4'"):
        load(path)


def test_heads_as_nodes_need_their_number(tmp_path: Path) -> None:
    save_file(llama(), tmp_path / "model.safetensors")
    assert sizes(load(tmp_path / "model.safetensors"))[2] == WIDTH
    with pytest.raises(GraphError, match="number of attention heads cannot be known"):
        load(tmp_path / "model.safetensors", attention="heads")
    assert sizes(load(tmp_path / "model.safetensors", attention="heads", n_heads=2))[2] == 2


def test_norms_of_queries_tell_the_size_of_a_head() -> None:
    tensors = llama(n_kv=4)
    for i in range(DEPTH):
        for part in ("q", "k"):
            tensors[f"model.layers.{i}.self_attn.{part}_norm.weight"] = np.ones(2, np.float32)
    assert sizes(graph_from_network(network_from_tensors(tensors)))[2] == 4


def test_what_is_not_whole_is_refused(tmp_path: Path) -> None:
    lacking = llama()
    del lacking["model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(GraphError, match="block 1 lacks up, which block 0 has"):
        network_from_tensors(lacking)
    later = {name.replace("layers.0.", "layers.7."): value for name, value in llama().items()}
    with pytest.raises(GraphError, match=r"expected blocks 0 to 1, got 1, 7 .*merge them first"):
        network_from_tensors(later)
    save_file(llama(), tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(GraphError, match="got one part of 2; merge the parts"):
        load(tmp_path / "model-00001-of-00002.safetensors")
    with pytest.raises(GraphError, match="got Gemma's norms"):
        network_from_tensors(llama(), config={"model_type": "gemma"})
    experts = llama() | {f"model.layers.{i}.mlp.experts.0.up_proj.weight": array(HIDDEN, WIDTH) for i in range(DEPTH)}
    skipped = {s.name: s.reason for s in network_from_tensors(experts).skipped}
    assert skipped["model.layers.0.mlp.experts.0.up_proj.weight"].startswith("no part of a LLaMA-like decoder")


def test_shapes_that_are_not_a_family_s_are_refused() -> None:
    wrong = llama()
    wrong["model.layers.0.self_attn.q_proj.weight"] = array(WIDTH, WIDTH, 1)
    with pytest.raises(GraphError, match=r"expected a matrix 'model\.layers\.0\.self_attn\.q_proj\.weight'"):
        network_from_tensors(wrong)
    wrong = llama()
    wrong["model.norm.weight"] = array(WIDTH, 2)
    with pytest.raises(GraphError, match=r"expected 'model\.norm\.weight' of a LLaMA-like decoder with 1 dimensions"):
        network_from_tensors(wrong)
    wrong = gpt2()
    wrong["transformer.h.0.attn.c_attn.weight"] = array(WIDTH, WIDTH)
    with pytest.raises(GraphError, match=r"of shape \(n, 3n\) or \(3n, n\), got \(8, 8\)"):
        network_from_tensors(wrong)


def test_an_inspection_tells_orientation_and_constants(tmp_path: Path) -> None:
    save_file(bert(), tmp_path / "model.safetensors")
    found = inspect_file(tmp_path / "model.safetensors")
    assert (found.problem, found.orientation) == (None, "out-in")
    reasons = {s.name: s.reason for s in found.report.skipped}
    assert reasons["bert.embeddings.position_embeddings.weight"].startswith("a constant")
    assert not [s for s in found.report.skipped if s.is_suspect]
    assert found.estimate is not None
    assert found.estimate.fits
