"""Graphs of small networks: which layers, which blocks, and their weights by hand."""

from __future__ import annotations

import numpy as np
import pytest
from networks.sketch import Sketch

from netspectra.errors import GraphError
from netspectra.graph.batch import Structure
from netspectra.networks import Network, Operation, Weight, graph_from_network
from netspectra.networks.build import plan_graph


def shape_of(graph):
    names = [layer.name for layer in graph.layers]
    return [(names[b.source], names[b.target]) for b in graph.blocks]


def block(graph, source, target):
    """The sum of |W| over the blocks between two layers."""
    names = [layer.name for layer in graph.layers]
    found = [b.weights for b in graph.blocks if (names[b.source], names[b.target]) == (source, target)]
    assert found, (source, target, shape_of(graph))
    return sum(np.abs(w.toarray() if hasattr(w, "toarray") else np.asarray(w, np.float64)) for w in found)


def is_bipartite(graph):
    return Structure(tuple(x.size for x in graph.layers), tuple((b.source, b.target) for b in graph.blocks)).sides


def test_a_perceptron_is_used_in_place():
    s = Sketch(x=(1, 6))
    h = s.do("pass", "relu", s.dense("fc1", "x", 6, 5))
    s.dense("fc2", h, 5, 3, orientation="in-out")
    network = s.network()
    graph = graph_from_network(network)
    assert [(x.name, x.size, x.kind) for x in graph.layers] == [
        ("x", 6, "input"),
        ("fc1", 5, "dense"),
        ("fc2", 3, "dense"),
    ]
    for b, operation in zip(graph.blocks, (o for o in network.operations if o.weights), strict=True):
        assert np.shares_memory(b.weights, operation.weights["weight"].read())
    np.testing.assert_array_equal(graph.blocks[0].weights, s.weights["fc1"])


@pytest.mark.parametrize("norm", ["l1", "l2", "operator-1"])
def test_convolution_normalisation_flatten_dense(norm):
    s = Sketch(x=(1, 3, 6, 6))
    c = s.convolution("conv", "x", 3, 4, shape=(1, 4, 6, 6))
    gamma, variance = s.weight(4), Weight.of(np.array([1.0, 2.0, 3.0, 4.0]))
    c = s.do("scale", "bn", c, weights={"scale": gamma, "variance": variance}, axis=1, epsilon=0.5)
    c = s.do("pass", "pool", s.do("pass", "relu", c), shape=(1, 4, 3, 3))
    s.dense("fc", s.do("reshape", "flatten", c, shape=(1, 36)), 36, 5)
    graph = graph_from_network(s.network(), norm=norm)
    K, factor = s.weights["conv"], np.abs(gamma.read()) / np.sqrt(variance.read() + 0.5)
    slices = {
        "l1": np.abs(K).sum((2, 3)),
        "l2": np.sqrt((K**2).sum((2, 3))),
        "operator-1": np.abs(K).sum(2).max(2),
    }[norm]
    np.testing.assert_allclose(block(graph, "x", "conv"), slices.T * factor, rtol=1e-5)
    W = s.weights["fc"].reshape(4, 9, 5)
    expected = np.sqrt((W**2).sum(1)) if norm == "l2" else np.abs(W).sum(1)
    np.testing.assert_allclose(block(graph, "conv", "fc"), expected, rtol=1e-5)


def test_flatten_without_sizes_is_that_with_them():
    graphs = []
    for shape, kind in (((1, 4, 3, 3), "reshape"), (None, "flatten")):
        s = Sketch(x=None if shape is None else (1, 2, 3, 3))
        c = s.convolution("conv", "x", 2, 4, shape=shape)
        flat = s.do(kind, "flat", c, shape=None if shape is None else (1, 36))
        s.dense("fc", flat, 36, 5)
        graphs.append(graph_from_network(s.network()))
    for a, b in zip(graphs[0].blocks, graphs[1].blocks, strict=True):
        np.testing.assert_array_equal(a.weights, b.weights)


def test_grouped_and_depthwise_blocks_keep_their_support():
    s = Sketch(x=(1, 4, 5, 5))
    a = s.convolution("grouped", "x", 4, 6, groups=2)
    s.convolution("depthwise", a, 6, 12, groups=6)
    graph = graph_from_network(s.network())
    for b, n_in, n_out, groups in ((graph.blocks[0], 4, 6, 2), (graph.blocks[1], 6, 12, 6)):
        assert b.fixed_support
        assert b.learned
        allowed = np.kron(np.eye(groups), np.ones((n_in // groups, n_out // groups)))
        np.testing.assert_array_equal(b.weights.toarray() != 0, allowed != 0)
    np.testing.assert_allclose(
        block(graph, "x", "grouped")[2:, 3:], np.abs(s.weights["grouped"][3:]).sum((2, 3)).T, rtol=1e-6
    )


def test_transposed_kernels():
    s = Sketch(x=(1, 4, 5, 5))
    kernel = s.weight(4, 3, 2, 2)
    s.do("convolution", "up", "x", weights={"weight": kernel}, layout="iohw", groups=2)
    graph = graph_from_network(s.network())
    expected, edges = np.zeros((4, 6)), np.abs(kernel.read()).sum((2, 3))
    expected[:2, :3], expected[2:, 3:] = edges[:2], edges[2:]
    np.testing.assert_allclose(block(graph, "x", "up"), expected, rtol=1e-6)
    keras = Sketch(x=(1, 5, 5, 4))
    own = keras.weight(2, 2, 3, 4)
    keras.do("convolution", "up", "x", weights={"weight": own}, layout="hwoi", axis=-1)
    np.testing.assert_allclose(
        block(graph_from_network(keras.network()), "x", "up"), np.abs(own.read()).sum((0, 1)).T, rtol=1e-6
    )


def residual(n_blocks=2):
    s = Sketch(x=(1, 7))
    h = s.dense("stem", "x", 7, 4)
    for i in range(n_blocks):
        inner = s.do("pass", "relu", s.dense(f"up{i}", h, 4, 6))
        h = s.do("add", f"sum{i}", h, s.dense(f"down{i}", inner, 6, 4))
    s.dense("head", h, 4, 3)
    return s


def test_a_shared_stream_is_one_layer_and_bipartite():
    s = residual()
    graph = graph_from_network(s.network(), residual="shared")
    assert [x.name for x in graph.layers] == ["x", "stem", "up0", "up1", "head"]
    assert is_bipartite(graph)
    assert all(b.learned for b in graph.blocks)
    np.testing.assert_allclose(block(graph, "up1", "stem"), np.abs(s.weights["down1"]))
    np.testing.assert_allclose(block(graph, "stem", "up1"), np.abs(s.weights["up1"]))


def test_per_layer_sums_are_tied_by_edges_without_weights():
    s = residual()
    graph = graph_from_network(s.network(), residual="per-layer")
    assert [x.name for x in graph.layers] == ["x", "stem", "up0", "down0", "up1", "down1", "head"]
    ties = {pair for pair, b in zip(shape_of(graph), graph.blocks, strict=True) if not b.learned}
    assert ties == {("stem", "down0"), ("down0", "down1")}
    np.testing.assert_array_equal(block(graph, "stem", "down0"), np.eye(4))
    np.testing.assert_allclose(block(graph, "down1", "head"), np.abs(s.weights["head"]))


def test_a_layer_that_reads_and_writes_the_stream_directly_keeps_its_nodes():
    s = Sketch(x=(1, 5))
    h = s.dense("stem", "x", 5, 4)
    h = s.do("add", "sum", h, s.dense("linear", h, 4, 4))
    s.dense("head", h, 4, 3)
    graph = graph_from_network(s.network())
    assert [x.name for x in graph.layers] == ["x", "stem", "linear", "head"]
    np.testing.assert_allclose(block(graph, "stem", "linear"), np.abs(s.weights["linear"]))
    np.testing.assert_array_equal(block(graph, "linear", "stem"), np.eye(4))


def test_concatenation_reads_every_part_and_split_gives_parts():
    s = Sketch(x=(1, 3, 4, 4))
    a, b = s.convolution("a", "x", 3, 2), s.convolution("b", "x", 3, 5)
    c = s.convolution("c", s.do("concatenate", "cat", a, b, a, axis=1), 9, 4)
    first, second = s.split(c, 1, 1, 3)
    s.convolution("d", first, 1, 2)
    s.convolution("e", second, 3, 2)
    graph = graph_from_network(s.network())
    edges = np.abs(s.weights["c"]).sum((2, 3)).T
    np.testing.assert_allclose(block(graph, "b", "c[0:1]"), edges[2:7, :1], rtol=1e-6)
    np.testing.assert_allclose(block(graph, "a", "c[1:4]"), edges[:2, 1:] + edges[7:, 1:], rtol=1e-6)
    assert ("c[0:1]", "d") in shape_of(graph)
    assert ("c[0:1]", "e") not in shape_of(graph)


def test_a_gate_and_what_it_gates_are_one_node_fused_or_not():
    s = Sketch(x=(1, 5))
    gate, up = s.dense("gate", "x", 5, 4), s.dense("up", "x", 5, 4)
    s.dense("down", s.do("multiply", "mul", s.do("pass", "silu", gate), up), 4, 3)
    graph = graph_from_network(s.network())
    assert shape_of(graph) == [("x", "gate"), ("x", "gate"), ("gate", "down")]
    fused = Sketch(x=(1, 5))
    both = fused.dense("fused", "x", 5, 8)
    a, b = fused.split(both, -1, 4, 4)
    fused.dense("down", fused.do("multiply", "mul", a, b), 4, 3)
    again = graph_from_network(fused.network())
    assert [x.size for x in again.layers] == [5, 4, 3]
    assert len(again.blocks) == 3
    W = np.abs(fused.weights["fused"])
    np.testing.assert_allclose(block(again, "x", "fused"), W[:, :4] + W[:, 4:])


def test_a_mask_of_positions_that_comes_from_outside_has_no_nodes():
    s = Sketch(x=(1, 5, 4), m=(1, 5, 1))
    y = s.do("multiply", "masked", s.dense("fc", "x", 4, 8), "m")
    s.dense("out", s.do("reduce", "pool", y, axes=(1,)), 8, 2)
    assert [x.name for x in graph_from_network(s.network()).layers] == ["x", "fc", "out"]
    both = Sketch(x=(1, 5), gate=(1, 4))
    both.dense("out", both.do("multiply", "gated", both.dense("fc", "x", 5, 4), "gate"), 4, 2)
    assert [x.size for x in graph_from_network(both.network()).layers] == [5, 4, 2]


def test_squeeze_and_excitation():
    s = Sketch(x=(1, 3, 4, 4))
    h = s.convolution("conv", "x", 3, 6, shape=(1, 6, 4, 4))
    p = s.do("reduce", "pool", h, axes=(2, 3), keepdims=True)
    p = s.convolution("fc2", s.convolution("fc1", p, 6, 2, size=1), 2, 6, size=1)
    s.convolution("out", s.do("multiply", "excite", h, p), 6, 5)
    shared = graph_from_network(s.network())
    assert [x.name for x in shared.layers] == ["x", "conv", "fc1", "out"]
    assert is_bipartite(shared)
    apart = graph_from_network(s.network(), residual="per-layer")
    assert ("conv", "fc2") in shape_of(apart)
    assert not next(b for b, ends in zip(apart.blocks, shape_of(apart), strict=True) if ends == ("conv", "fc2")).learned


def test_inputs_and_head_can_be_left_out():
    s = Sketch(x=(1, 3, 4, 4))
    c = s.convolution("b", s.convolution("a", "x", 3, 4, shape=(1, 4, 4, 4)), 4, 5, shape=(1, 5, 4, 4))
    s.dense("fc2", s.dense("fc1", s.do("reduce", "gap", c, axes=(2, 3)), 5, 6), 6, 2)
    assert shape_of(graph_from_network(s.network(), input_layer=False, dense_head=False)) == [("a", "b")]
    assert len(graph_from_network(s.network(), dense_head=False).layers) == 3
    mlp = residual().network()
    assert [x.name for x in graph_from_network(mlp, dense_head=False).layers] == ["x", "stem", "up0", "up1"]


def test_a_recurrent_cell_is_unrolled_once():
    s = Sketch(x=(1, 9, 5))
    weights = {"input_weight": s.weight(12, 5), "hidden_weight": s.weight(12, 3)}
    h = s.do("recurrent", "lstm", "x", weights=weights, orientation="out-in", gates=4)
    s.dense("head", h, 3, 2)
    graph = graph_from_network(s.network())
    assert [(x.name, x.size) for x in graph.layers] == [("x", 5), ("lstm.state", 3), ("lstm", 3), ("head", 2)]
    expected = np.abs(weights["hidden_weight"].read()).reshape(4, 3, 3).sum(0).T
    np.testing.assert_allclose(block(graph, "lstm.state", "lstm"), expected, rtol=1e-6)
    assert [x.name for x in graph_from_network(s.network(), input_layer=False).layers] == ["lstm.state", "lstm", "head"]
    assert [x.name for x in graph_from_network(s.network(), dense_head=False).layers] == ["x", "lstm.state", "lstm"]


def test_a_scale_before_an_operator_scales_what_reads():
    s = Sketch(x=(1, 5))
    h = s.dense("stem", "x", 5, 4)
    gamma = s.weight(4)
    inner = s.dense("up", s.do("scale", "ln", h, weights={"scale": gamma}, axis=-1), 4, 6)
    s.do("add", "sum", h, s.dense("down", inner, 6, 4))
    graph = graph_from_network(s.network())
    np.testing.assert_allclose(block(graph, "stem", "up"), np.abs(s.weights["up"] * gamma.read()[:, None]), rtol=1e-5)
    np.testing.assert_allclose(block(graph, "x", "stem"), np.abs(s.weights["stem"]))
    plain = plan_graph(s.network(), normalisation="skip")
    assert "ln" in {k.name for k in plain.skipped}
    assert all(b.in_place for b in plain.blocks)
    np.testing.assert_array_equal(block(plain.build(), "stem", "up"), np.abs(s.weights["up"]))


def test_what_is_not_shown_is_named():
    s = Sketch(x=(1, 6, 4))
    s.constant("position", 1, 6, 4)
    h = s.do("add", "add", "x", "position")
    h = s.dense("token-mixing", s.do("transpose", "t", s.dense("fc", h, 4, 4), permutation=(0, 2, 1)), 6, 9)
    strange = s.do("opaque", "fft", h, shape=(1, 4, 9), reason="not an operation that edges show")
    s.dense("after", s.do("transpose", "t", strange, permutation=(0, 2, 1)), 4, 2)
    plan = plan_graph(s.network())
    assert [x.name for x in plan.layers] == ["x", "fc"]
    assert {k.name for k in plan.skipped} == {"token-mixing", "fft", "after"}
    with pytest.raises(GraphError, match="no weights between nodes"):
        graph_from_network(Sketch(x=(1, 4)).network())


@pytest.mark.parametrize("shape", [None, (1, 12)])
def test_what_reads_something_opaque_is_named(shape, caplog):
    s = Sketch(x=(1, 12))
    s.dense("before", "x", 12, 3)
    strange = s.do("opaque", "top-k", "x", shape=shape, reason="chosen by values")
    after = s.dense("after", strange, 12, 4)
    kernel = {"weight": s.weight(5, 4, 3)}
    h = s.do("convolution", "kernel", after, weights=kernel, layout="oihw")
    h = s.do("recurrent", "cell", h, weights={"input_weight": s.weight(6, 4)}, orientation="out-in", gates=2)
    s.do("multiply", "gate", s.do("scale", "norm", h, weights={"scale": s.weight(3)}, axis=-1), strange)
    plan = plan_graph(s.network())
    assert [x.name for x in plan.layers] == ["x", "before"]
    assert {k.name for k in plan.skipped} == {"top-k", "after", "kernel", "cell"}
    plan.build()
    graph_from_network(s.network())
    assert "3 operator(s) with weights" in caplog.text
    assert "top-k: chosen by values" in caplog.text


def test_errors_name_the_operation():
    s = Sketch(x=(1, 6))
    s.dense("fc1", "x", 5, 4)
    with pytest.raises(GraphError, match=r"dense 'fc1': reads 6 features, but its weight takes 5"):
        graph_from_network(s.network())
    with pytest.raises(GraphError, match="unknown kind"):
        Operation("softmax", "s", (), ())
    with pytest.raises(GraphError, match="takes the weights"):
        Operation("dense", "fc", ("x",), ("y",), {}, {"orientation": "in-out"})
    with pytest.raises(GraphError, match="which no operation before it makes"):
        Network((Operation("pass", "p", ("y",), ("z",)),), {"x": (1, 2)})
    with pytest.raises(GraphError, match="there already"):
        Network((Operation("pass", "p", ("x",), ("x",)),), {"x": (1, 2)})
    with pytest.raises(GraphError, match="norm must be"):
        graph_from_network(residual().network(), norm="l3")
    bad = Sketch(x=(1, 2))
    bad.do(
        "dense", "fc", "x", weights={"weight": Weight.of(np.array([[1.0, np.nan]]), "fc.weight")}, orientation="out-in"
    )
    with pytest.raises(GraphError, match=r"fc\.weight: weights must be finite"):
        graph_from_network(bad.network())
    strange = Sketch(x=(1, 2))
    weight = Weight.of(np.ones((3, 2), np.complex64), "fc.weight")
    strange.do("dense", "fc", "x", weights={"weight": weight}, orientation="out-in")
    with pytest.raises(GraphError, match=r"fc\.weight: weights must be real numbers, got complex64"):
        graph_from_network(strange.network())
