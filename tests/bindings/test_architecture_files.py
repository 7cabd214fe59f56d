"""Topologies as JSON: written from a network, read back strictly, and applied to the tensors of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from netspectra.bindings.readers import inspect_file, load, network_from_tensors
from netspectra.errors import FileFormatError, GraphError, NetspectraError
from netspectra.networks import Network, Operation, Skipped, Weight, graph_from_network
from netspectra.networks.architecture import (
    architecture_from_json,
    architecture_to_json,
    load_architecture,
    save_architecture,
    with_tensors,
)

RNG = np.random.default_rng(3)


def tensors() -> dict[str, np.ndarray]:
    """Return a small residual network's state dict, as PyTorch calls and stores it."""
    shapes = {
        "conv1.weight": (4, 3, 3, 3),
        "layer1.0.conv1.weight": (4, 4, 3, 3),
        "layer1.0.conv2.weight": (6, 4, 3, 3),
        "layer1.0.downsample.0.weight": (6, 4, 1, 1),
        "bn1.weight": (4,),
        "fc.weight": (2, 6),
    }
    arrays = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    return {**arrays, "bn1.running_var": np.abs(RNG.standard_normal(4)).astype(np.float32) + 0.5}


def residual(arrays: dict[str, np.ndarray]) -> Network:
    """Return its network, written by hand: a downsampled skip around two convolutions."""

    def weight(key: str) -> Weight:
        return Weight.of(arrays[key], key)

    def conv(name: str, source: str) -> Operation:
        options = {"layout": "oihw", "groups": 1, "axis": 1}
        return Operation(
            "convolution", name, (source,), (name,), {"weight": weight(f"{name}.weight")}, options, (1, None, 8, 8)
        )

    scale = {"scale": weight("bn1.weight"), "variance": weight("bn1.running_var")}
    ones = {"scale": Weight.of(np.ones(6, np.float32))}  # a normalisation without a scale of its own
    return Network(
        operations=(
            conv("conv1", "image"),
            Operation("scale", "bn1", ("conv1",), ("bn1",), scale, {"axis": 1, "epsilon": 1e-5}),
            conv("layer1.0.conv1", "bn1"),
            conv("layer1.0.conv2", "layer1.0.conv1"),
            conv("layer1.0.downsample.0", "bn1"),
            Operation("scale", "bn2", ("layer1.0.conv2",), ("bn2",), ones, {"axis": 1}),
            Operation("add", "layer1.0", ("bn2", "layer1.0.downsample.0"), ("sum",)),
            Operation("reduce", "pool", ("sum",), ("pooled",), options={"axes": (2, 3), "keepdims": False}),
            Operation("dense", "fc", ("pooled",), ("out",), {"weight": weight("fc.weight")}, {"orientation": "out-in"}),
        ),
        inputs={"image": (1, 3, 8, 8)},
        constants={"mask": (1, 1)},
        outputs=("out",),
        skipped=(Skipped("aux", "not used at inference"),),
        format="pytorch",
    )


def same_graph(one: Any, other: Any) -> None:
    assert one.layers == other.layers
    for a, b in zip(one.blocks, other.blocks, strict=True):
        assert (a.source, a.target, a.learned) == (b.source, b.target, b.learned)
        x, y = (block.weights.toarray() if block.is_sparse else block.weights for block in (a, b))
        np.testing.assert_array_equal(x, y)


def test_a_residual_network_makes_the_round_trip(tmp_path: Path) -> None:
    arrays = tensors()
    network = residual(arrays)
    save_architecture(network, tmp_path / "net.json")
    back = load_architecture(tmp_path / "net.json")
    assert architecture_to_json(back) == architecture_to_json(network)
    for a, b in zip(network.operations, back.operations, strict=True):
        assert (a.kind, a.name, a.inputs, a.outputs, a.shape) == (b.kind, b.name, b.inputs, b.outputs, b.shape)
        assert dict(a.options) == dict(b.options)
        assert {r: (w.key, w.shape, w.dtype) for r, w in a.weights.items()} == {
            r: (w.key, w.shape, w.dtype) for r, w in b.weights.items()
        }
    assert (back.inputs, back.constants, back.outputs) == (network.inputs, network.constants, network.outputs)
    assert (back.skipped, back.format) == (network.skipped, "pytorch")
    save_file(arrays, tmp_path / "net.safetensors")
    expected = graph_from_network(network)
    same_graph(load(tmp_path / "net.safetensors", architecture=tmp_path / "net.json"), expected)
    same_graph(load(tmp_path / "net.safetensors", architecture=str(tmp_path / "net.json")), expected)
    np.savez(tmp_path / "net.npz", **arrays)
    same_graph(load(tmp_path / "net.npz", architecture=network), expected)
    with pytest.raises(GraphError, match=r"tell of residual blocks.*architecture="):
        load(tmp_path / "net.safetensors")
    found = inspect_file(tmp_path / "net.safetensors", architecture=network)
    assert (found.problem, found.layers, found.n_edges) == (None, expected.layers, expected.n_edges)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_a_topology_found_in_tensors_is_kept(tmp_path: Path) -> None:
    arrays = {f"{i}.weight": RNG.standard_normal(s).astype(np.float32) for i, s in enumerate([(6, 5), (4, 6), (3, 4)])}
    network = network_from_tensors(arrays)
    back = architecture_from_json(architecture_to_json(network))
    weights = {name: Weight.of(array, name) for name, array in arrays.items()}
    same_graph(graph_from_network(with_tensors(back, weights)), graph_from_network(network))


def test_tensors_that_do_not_fit_are_named() -> None:
    arrays = tensors()
    network = residual(arrays)
    weights = {name: Weight.of(array, name) for name, array in arrays.items()}
    renamed = {f"module.{name}": weight for name, weight in weights.items()}
    with pytest.raises(
        GraphError, match=r"needs the tensor 'conv1\.weight', which is not there; .* 'module\.conv1\.weight'"
    ):
        with_tensors(network, renamed)
    with pytest.raises(GraphError, match=r"'fc\.weight' of shape \(2, 6\), got \(6, 2\); is it of the same model"):
        with_tensors(network, {**weights, "fc.weight": Weight.of(arrays["fc.weight"].T)})
    more = with_tensors(network, {**weights, "extra": Weight.of(np.ones(2)), "aux": Weight.of(np.ones(2))})
    reasons = {s.name: s.reason for s in more.skipped}
    assert reasons == {"extra": "not named in the architecture", "aux": "not used at inference"}


def test_values_come_from_tensors_alone() -> None:
    back = architecture_from_json(architecture_to_json(residual(tensors())))
    with pytest.raises(GraphError, match=r"has no values yet; give it tensors with with_tensors"):
        graph_from_network(back)
    network = residual(tensors())
    unkeyed = Operation("scale", "s", ("image",), ("s",), {"scale": Weight.of(np.arange(3.0))}, {"axis": 1})
    with pytest.raises(GraphError, match="operation 's': a weight without a key cannot be saved"):
        architecture_to_json(Network((unkeyed,), network.inputs))


def test_an_architecture_leaves_nothing_else_to_say(tmp_path: Path) -> None:
    arrays = tensors()
    save_file(arrays, tmp_path / "net.safetensors")
    for said in ({"order": ["fc.weight"]}, {"orientation": "out-in"}):
        with pytest.raises(GraphError, match="architecture says order and orientation"):
            load(tmp_path / "net.safetensors", architecture=residual(arrays), **said)
    with pytest.raises(FileFormatError, match=r"nowhere\.json: expected an architecture file .* got none"):
        load(tmp_path / "net.safetensors", architecture=tmp_path / "nowhere.json")
    with pytest.raises(FileFormatError, match="expected an architecture file"):
        load_architecture(tmp_path)
    (tmp_path / "latin.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(FileFormatError, match="cannot be read as text"):
        load_architecture(tmp_path / "latin.json")


def changed(**changes: Any) -> str:
    content = json.loads(architecture_to_json(residual(tensors())))
    for path, value in changes.items():
        place: Any = content
        *above, last = [int(part) if part.isdigit() else part for part in path.split("__")]
        for part in above:
            place = place[part]
        place[last] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("9" * 10_000, "expected JSON"),
        ("[]", "expected a JSON object of kind"),
        ("{}", "expected a JSON object of kind"),
        (changed(schema_version=2), "expected schema_version 1, got 2"),
        (changed(schema_version=True), "expected schema_version 1"),
        (changed(more=1), "the architecture: expected the keys"),
        (changed(operations={}), "operations: expected a list"),
        (changed(operations__0=7), "operation 0: expected an object"),
        (changed(operations__0__kind="magic"), "unknown kind 'magic'"),
        (changed(operations__0__options={}), "takes the weights"),
        (changed(operations__0__options__layout="whio"), "expected one of oihw, hwio"),
        (changed(operations__0__options__groups=0), "an integer from 1"),
        (changed(operations__0__options__axis=1.5), "'axis' of operation 'conv1': expected an integer"),
        (changed(operations__0__options__axis=True), "expected an integer"),
        (changed(operations__0__options__axis=None), "expected an integer"),
        (changed(operations__0__inputs=["ghost"]), "reads 'ghost', which no operation before it makes"),
        (changed(operations__0__inputs="image"), "expected a list"),
        (changed(operations__0__outputs=["image"]), "which is there already"),
        (changed(operations__0__weights__weight__shape=[1 << 62]), "an integer from 0"),
        (changed(operations__0__weights__weight__shape=[-1]), "an integer from 0"),
        (changed(operations__0__weights__weight__shape=[None]), "a shape without unknown sides"),
        (changed(operations__0__weights__weight__dtype="object"), "a dtype of real numbers"),
        (changed(operations__0__weights__weight__key=""), "a finite number to fill it with"),
        (changed(operations__5__weights__scale__shape=[1 << 30]), "equal values"),
        (changed(operations__5__weights__scale__fill=10**400), "a finite number to fill it with"),
        (changed(operations__1__options__epsilon=-1), "a number of at least 0"),
        (changed(operations__7__options__keepdims=1), "true or false"),
        (changed(operations__7__options__axes=2), "expected a list"),
        (changed(operations__0__shape=[1] * 40), "at most 32 axes"),
        (changed(inputs__image="big"), "the shape of input 'image': expected a list"),
        (changed(outputs=["ghost"]), "output 'ghost' is made by no operation"),
        (changed(skipped=[{"name": "a"}]), "an entry of skipped: expected the keys"),
        (changed(format=3), "format: expected a string"),
    ],
)
def test_what_is_no_architecture_is_refused(text: str, message: str) -> None:
    with pytest.raises(FileFormatError, match=message.replace("[", r"\[")) as caught:
        architecture_from_json(text, "net.json")
    assert str(caught.value).startswith("net.json: ")


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)
fields = st.sampled_from(["kind", "name", "inputs", "outputs", "weights", "options", "shape"])


@settings(max_examples=150)
@given(number=st.integers(0, 8), field=fields, value=values)
def test_invented_operations_are_networks_or_errors(number: int, field: str, value: Any) -> None:
    text = changed(**{f"operations__{number}__{field}": value})
    try:
        network = architecture_from_json(text)
        weights = {name: Weight.of(array, name) for name, array in tensors().items()}
        filled = with_tensors(network, weights)
        if field != "shape":  # whether an output's shape fits is for the graph to say
            graph_from_network(filled)
    except NetspectraError as error:
        assert str(error)  # noqa: PT017
