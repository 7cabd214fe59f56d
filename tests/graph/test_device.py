"""Where arrays are, and which backend a call on them takes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from graph.fake_device import DEVICE, FakeDeviceBackend, device_graph, name_of, put

import netspectra as ns
from netspectra.errors import GraphError
from netspectra.graph import device as device_module
from netspectra.graph.device import cuda_backend, current_device, device_of
from netspectra.graph.placement import backend_for


class Exchanged:
    """An array of which only the device is known."""

    def __init__(self, kind: int, index: int) -> None:
        self.place = kind, index

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.place


def graph_on(device: str) -> Any:
    return SimpleNamespace(device=device)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Yield what `get_backend` was asked for; it answers with a backend on the device it was asked for."""
    calls: list[Any] = []

    def fake(name: Any, **options: Any) -> Any:
        calls.append((name, options))
        return SimpleNamespace(name=name, device=f"cuda:{options['device']}" if options else "cpu")

    monkeypatch.setattr(device_module, "get_backend", fake)
    cuda_backend.cache_clear()
    yield calls
    cuda_backend.cache_clear()


@pytest.mark.parametrize(
    ("array", "device"),
    [
        (np.ones(2), "cpu"),
        (np.ones(2, ml_dtypes.bfloat16), "cpu"),
        ([1.0, 2.0], "cpu"),
        (sp.csr_array(np.eye(2)), "cpu"),
        (Exchanged(1, 0), "cpu"),
        (Exchanged(3, 0), "cpu"),  # pinned by CUDA, yet the host's
        (Exchanged(2, 0), "cuda:0"),
        (Exchanged(2, 3), "cuda:3"),
        (Exchanged(13, 1), "cuda:1"),  # managed by CUDA
        (Exchanged(8, 0), "DLPack device (8, 0)"),
    ],
)
def test_where_an_array_is(array: Any, device: str) -> None:
    assert device_of(array) == device


def test_what_the_library_calls_its_device() -> None:
    assert device_of(put(np.ones(2))) == name_of(DEVICE)


@pytest.mark.requires("torch")
def test_torch_tensors_know_their_device(require: Any) -> None:
    torch = require("torch")
    assert device_of(torch.ones(2)) == "cpu"
    with pytest.raises(ns.errors.GraphError, match="cannot be read as an array"):
        ns.Block(0, 1, torch.ones((2, 2), device="meta"))


def test_the_context_of_a_device_is_entered_where_the_library_has_one() -> None:
    entered = []

    class Device:
        def __enter__(self) -> None:
            entered.append("in")

        def __exit__(self, *_: object) -> None:
            entered.append("out")

    with current_device(SimpleNamespace(device=Device())), current_device(np.ones(2)), current_device([]):
        assert entered == ["in"]
    assert entered == ["in", "out"]


# -- the backend of a call ---------------------------------------------------------------------------------------------


def test_host_graphs_go_to_any_backend(backend: Any) -> None:
    graph = ns.LayerGraph.from_weights([np.ones((2, 3))])
    assert backend_for([graph, graph], backend) is backend
    assert backend_for([], backend) is backend
    assert backend_for(graph, "cpu") is ns.get_backend("cpu")
    assert backend_for(graph).name == ns.get_backend("auto").name
    with pytest.raises(GraphError, match=r"backend must be one of \['auto'"):
        backend_for(graph, "gpu")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_cuda_graphs_go_to_the_backend_of_their_device(name: str, asked: list[Any]) -> None:
    assert backend_for(graph_on("cuda:2"), name).device == "cuda:2"
    assert backend_for([graph_on("cuda:1")] * 2, name).device == "cuda:1"
    assert asked == [("cuda", {"device": 2}), ("cuda", {"device": 1})]


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_cuda_graphs_never_go_to_the_host_by_themselves(name: str) -> None:
    message = rf"weights are on cuda:0, but backend '{name}' works on cpu; copy them to the host first \(e\.g\. w\.get"
    with pytest.raises(GraphError, match=message + r".*\), or use backend='cuda'$"):
        backend_for(graph_on("cuda:0"), name)
    with pytest.raises(GraphError, match=message):
        backend_for(graph_on("cuda:0"), ns.get_backend(name))


def test_a_backend_object_must_work_where_the_weights_are(monkeypatch: pytest.MonkeyPatch) -> None:
    there, elsewhere = (SimpleNamespace(name="cuda", device=f"cuda:{i}") for i in (0, 1))
    monkeypatch.setattr("netspectra.graph.placement.get_backend", lambda machine: machine)
    assert backend_for(graph_on("cuda:0"), there) is there
    with pytest.raises(GraphError, match=r"weights are on cuda:0, but backend 'cuda' works on cuda:1; copy them"):
        backend_for(graph_on("cuda:0"), elsewhere)


def test_a_device_of_no_backend() -> None:
    fake, graph = FakeDeviceBackend(), device_graph(ns.LayerGraph.from_weights([np.ones((2, 3))]))
    assert backend_for(graph, fake) is fake
    with pytest.raises(GraphError, match=r"weights are on .*device1.*, where no backend of netspectra works by itself"):
        backend_for(graph, "auto")
    with pytest.raises(GraphError, match=r"are on .*device1.*, but backend 'cpu' works on cpu; copy .*PyTorch\)$"):
        backend_for(graph, "cpu")
    with pytest.raises(GraphError, match=r"backend must be a name or a backend object, got int"):
        backend_for(graph, 3)


def test_graphs_on_several_devices() -> None:
    graphs = [graph_on("cpu"), graph_on("cpu"), graph_on("cuda:0")]
    with pytest.raises(GraphError, match=r"on one device: graph 0 is on cpu, graph 2 on cuda:0; copy them to one"):
        backend_for(graphs, "auto")


@pytest.mark.parametrize(
    "call",
    [
        lambda graph: ns.eigenpairs(graph, 2, backend="cpu"),
        lambda graph: ns.spectral_clustering(graph, 2, backend="cpu"),
        lambda graph: ns.ncut(graph, np.zeros(graph.n_nodes, int), backend="cpu"),
    ],
)
def test_public_calls_refuse_the_wrong_machine(call: Any) -> None:
    graph = device_graph(ns.LayerGraph.from_weights([np.ones((3, 4))]))
    with pytest.raises(GraphError, match="but backend 'cpu' works on cpu"):
        call(graph)
