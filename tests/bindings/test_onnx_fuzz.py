"""Whatever the bytes, and whatever the structure, a network comes out or a NetspectraError; no hang, no warning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import model, node, normal

from netspectra.bindings.readers import LoadLimits
from netspectra.errors import NetspectraError

pytestmark = pytest.mark.requires("onnx")

LIMITS = LoadLimits(max_bytes=1 << 20, max_header_bytes=1 << 20)


def base() -> Any:
    """A little of everything."""
    nodes = [
        node("Conv", "x k", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s s s s", "b"),
        node("Relu", "b", "c"),
        node("Add", "c x", "d"),
        node("MaxPool", "d", "e", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "e", "n"),
        node("Slice", "n zero one", "f"),
        node("Concat", "f rest", "g", axis=0),
        node("Reshape", "e g", "h"),
        node("Gemm", "h w", "i", transB=1),
        node("Split", "i", "j l", axis=1, num_outputs=2),
        node("MatMul", "j u", "y"),
    ]
    parameters = {
        "k": normal(3, 3, 3, 3), "s": normal(3) ** 2, "w": normal(4, 12), "u": normal(2, 5), "zero": np.array([0]),
        "one": np.array([1]), "rest": np.array([-1]),
    }  # fmt: skip
    return model(nodes, {"x": [1, 3, 4, 4]}, parameters, "y")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "model.onnx"


@pytest.fixture(scope="module")
def content(require: Any) -> bytes:
    require("onnx")
    return base().SerializeToString()


def never_anything_else(given: Any) -> None:
    from netspectra.bindings.onnx import graph_from_onnx, network_from_onnx

    try:
        network = network_from_onnx(given, LIMITS)
        for operation in network.operations:
            for weight in operation.weights.values():
                array = weight.read()
                assert (array.shape, array.dtype) == (weight.shape, weight.dtype)
        graph_from_onnx(given, limits=LIMITS)
    except NetspectraError as error:
        assert str(error)  # noqa: PT017


bits = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255))
edits = st.tuples(st.lists(bits, max_size=4), st.floats(0, 1), st.binary(max_size=6), st.booleans())


@settings(max_examples=200)
@given(edit=edits)
def test_mutated_onnx_files(
    path: Path, content: bytes, edit: tuple[list[tuple[float, int]], float, bytes, bool]
) -> None:
    changes, place, inserted, cut = edit
    changed = bytearray(content)
    for where, value in changes:
        changed[int(where * len(changed))] = value
    position = int(place * len(changed))
    changed[position:position] = inserted
    path.write_bytes(bytes(changed[:position] if cut and not inserted else changed))
    never_anything_else(path)


TENSORS = ["x", "k", "s", "zero", "one", "rest", "w", "u", *"abcdefghijly", "", "nowhere"]
numbers = st.sampled_from([-(1 << 63), -9, -2, -1, 0, 1, 2, 3, 7, 1 << 31, (1 << 63) - 1])
attributes = st.dictionaries(
    st.sampled_from(
        ["axis", "perm", "pads", "strides", "group", "kernel_shape", "num_outputs", "to", "axes", "keepdims"]
    ),
    st.one_of(numbers, st.lists(numbers, min_size=1, max_size=4), st.just("SAME_UPPER"), st.floats(-2, 2)),
    max_size=2,
)


@settings(max_examples=200)
@given(data=st.data())
def test_mutated_structure(data: st.DataObject) -> None:
    """Other operators on other tensors with other attributes, and constants of other values."""
    from onnx import helper, numpy_helper

    from netspectra.bindings.onnx.computations import COMPUTATIONS
    from netspectra.bindings.onnx.operators import EMITTERS

    proto = base()
    operators = sorted(EMITTERS.keys() | COMPUTATIONS.keys())
    for position in data.draw(st.lists(st.integers(0, len(proto.graph.node) - 1), max_size=2)):
        chosen = proto.graph.node[position]
        domain, _, op = data.draw(st.sampled_from(operators)).rpartition(".")
        chosen.op_type, chosen.domain = op, domain
        if data.draw(st.integers(0, 3)) == 3:
            del chosen.attribute[:]
            chosen.attribute.extend(helper.make_attribute(*item) for item in data.draw(attributes).items())
        if data.draw(st.integers(0, 3)) == 3:
            del chosen.input[:]
            chosen.input.extend(data.draw(st.lists(st.sampled_from(TENSORS), max_size=5)))
    for name in data.draw(st.sets(st.sampled_from(["zero", "one", "rest", "s", "w"]), max_size=2)):
        (tensor,) = (tensor for tensor in proto.graph.initializer if tensor.name == name)
        values = data.draw(st.lists(numbers, max_size=4))
        dtype = data.draw(st.sampled_from([np.int64, np.float32, np.bool_, np.int8]))
        with np.errstate(all="ignore"):
            tensor.CopyFrom(numpy_helper.from_array(np.array(values, np.int64).astype(dtype), name))
    never_anything_else(proto)
