"""Reading PyTorch modules: names, keys, memory, what is skipped; modules left as they were; what is refused."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from netspectra.errors import GraphError

pytestmark = pytest.mark.requires("torch")


def small() -> Any:
    """Return convolution, batch normalisation, in-place ReLU, dropout, flatten, a dense layer; in training mode."""
    from torch import nn

    first = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    return nn.Sequential(first, nn.Dropout(), nn.Flatten(), nn.Linear(16, 3))


def image() -> Any:
    import torch

    return torch.zeros(1, 2, 4, 4)


def read(module: Any, *example: Any) -> Any:
    from netspectra.bindings.pytorch import network_from_module

    return network_from_module(module, *example)


def weights_of(network: Any) -> dict[str, Any]:
    """Weights by (name of the operation, role)."""
    return {(one.name, role): weight for one in network.operations for role, weight in one.weights.items()}


@pytest.mark.parametrize("door", ["export", "trace"])
def test_weights_are_views_of_parameters_under_their_keys(door: str) -> None:
    module = small()
    weights = weights_of(read(module, image()) if door == "export" else read(module))
    expected = {("0.0", "weight"): "0.0.weight", ("0.1", "scale"): "0.1.weight", ("3", "weight"): "3.weight"}
    expected["0.1", "variance"] = "0.1.running_var"
    assert {place: weight.key for place, weight in weights.items()} == expected
    for weight in weights.values():
        tensor = module.state_dict()[weight.key]
        assert weight.shape == tuple(tensor.shape)
        assert weight.dtype == np.float32
        assert np.shares_memory(weight.read(), tensor.numpy())


def test_bfloat16_is_a_view_and_parts_and_transposes_of_a_parameter_are() -> None:
    import torch
    from torch import nn

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(8, 4, dtype=torch.bfloat16))

        def forward(self, x: Any) -> Any:
            return x @ self.w[2:6].t()

    module = Parts()
    (weight,) = weights_of(read(module, torch.zeros(3, 4, dtype=torch.bfloat16))).values()
    found = weight.read()
    assert found.dtype == weight.dtype == ml_dtypes.bfloat16
    assert np.shares_memory(found, module.w.detach().view(torch.int16).numpy())
    np.testing.assert_array_equal(found.astype(np.float32), module.w.detach()[2:6].T.float().numpy())
    assert weight.key == "w (computed)"


def test_a_later_change_of_a_parameter_is_seen() -> None:
    import torch

    module = small()
    weight = weights_of(read(module, image()))["3", "weight"]
    with torch.no_grad():
        module[3].weight.fill_(2.0)
    assert (weight.read() == 2.0).all()


@pytest.mark.parametrize("door", ["export", "trace"])
def test_what_pruning_and_parametrizations_compute_is_read(door: str) -> None:
    import torch
    from torch import nn
    from torch.nn.utils import parametrizations, prune

    pruned, normed = nn.Linear(4, 5), parametrizations.weight_norm(nn.Linear(5, 3))
    prune.random_unstructured(pruned, "weight", 0.5)
    module = nn.Sequential(pruned, normed, parametrizations.spectral_norm(nn.Linear(3, 3)))
    before = pruned.weight
    network = read(module, torch.zeros(1, 4)) if door == "export" else read(module)
    weights = weights_of(network)
    assert [place[0] for place in weights] == ["0", "1", "2"]
    assert next(iter(weights.values())).key == "0.weight_orig (computed)"
    assert pruned.weight is before
    module.eval()
    for layer, weight in zip(module, weights.values(), strict=True):
        assert weight.key.endswith(" (computed)")
        np.testing.assert_allclose(weight.read(), layer.weight.detach().numpy(), rtol=1e-6)
    assert not network.skipped


@pytest.mark.parametrize("door", ["export", "trace"])
def test_a_module_is_left_as_it_was(door: str) -> None:
    import torch
    from torch import nn

    module = small()
    module[1].eval()
    calls: list[Any] = []
    hook = module.register_forward_hook(lambda *found: calls.append(found[2]))
    lstm = nn.LSTM(3, 3)
    for one, example in ((module, image()), (lstm, torch.zeros(2, 1, 3))):
        state = {name: tensor.clone() for name, tensor in one.state_dict().items()}
        attributes = [{**part.__dict__} for part in one.modules()]
        modes = [part.training for part in one.modules()]
        generator, flag = torch.get_rng_state(), torch.is_grad_enabled()
        read(one, example) if door == "export" else read(one)
        assert [part.training for part in one.modules()] == modes
        assert all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())
        for part, before in zip(one.modules(), attributes, strict=True):
            assert part.__dict__.keys() == before.keys()
            assert all(part.__dict__[name] is value for name, value in before.items())
        assert torch.equal(torch.get_rng_state(), generator)
        assert torch.is_grad_enabled() == flag
    assert all(isinstance(one, nn.Parameter) for one in lstm._flat_weights)
    assert torch.backends.mha.get_fastpath_enabled()
    assert hook.id in module._forward_hooks


def test_a_module_is_left_as_it_was_when_reading_fails() -> None:
    import torch
    from torch import nn

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Any) -> Any:
            self.seen = self.layer(x)
            return self.seen if x.sum() > 0 else x

    module = Branch()
    with pytest.raises(GraphError, match=r"torch\.export could not trace Branch: .*must not branch on the values"):
        read(module, torch.zeros(2, 3))
    assert module.training
    assert module.layer.training
    assert not hasattr(module, "seen")
    with pytest.raises(GraphError, match=r"torch\.fx could not trace Branch: .*pass example_inputs"):
        read(module)
    assert module.training


def test_example_inputs_are_a_tensor_a_tuple_or_keywords() -> None:
    import torch
    from torch import nn

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(3, 2), nn.Linear(4, 2)

        def forward(self, x: Any, y: Any, *, twice: bool = False) -> Any:
            return {"sum": self.one(x) + self.two(y), "twice": self.two(y) if twice else None}

    x, y = torch.zeros(1, 3), torch.zeros(1, 4)
    for example in ((x, y), [x, y], {"x": x, "y": y, "twice": False}):
        network = read(Two(), example)
        assert network.inputs == {"x": (1, 3), "y": (1, 4)}
        assert [one.kind for one in network.operations] == ["dense", "dense", "add"]
    assert len(read(Two(), {"y": y, "x": x, "twice": True}).outputs) == 2
    with pytest.raises(GraphError, match="example_inputs: expected a tensor, a tuple or a dict, got int"):
        read(Two(), 3)


def test_what_is_no_module_or_has_no_weights_is_refused() -> None:
    import torch
    from torch import nn

    with pytest.raises(GraphError, match=r"expected a torch\.nn\.Module, got function"):
        read(lambda x: x)
    for example in ((), (torch.zeros(2),)):
        with pytest.raises(GraphError, match="got one in which no operation between them has any"):
            read(nn.ReLU(), *example)
    with pytest.raises(GraphError, match=r"could not trace Linear: .*example_inputs must be what forward takes"):
        read(nn.Linear(3, 2), torch.zeros(1, 4))
    with pytest.raises(GraphError, match="could not trace Linear"):
        read(nn.Linear(3, 2), (torch.zeros(1, 3), 1))


def test_weights_without_values_are_refused_when_they_are_read() -> None:
    import torch
    from torch import nn

    network = read(nn.Linear(3, 2, device="meta"))
    (weight,) = weights_of(network).values()
    assert weight.shape == (2, 3)
    with pytest.raises(GraphError, match=r"weight: expected a dense tensor with values, got .* on meta"):
        weight.read()
    narrow = nn.Linear(3, 2)
    narrow.weight.data = torch.zeros(2, 3, dtype=torch.float8_e5m2)
    with pytest.raises(GraphError, match="weight: expected float16, bfloat16, float32 or float64, got"):
        read(narrow)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's own, of torch.jit
def test_a_compiled_module_is_the_one_it_compiles() -> None:
    import torch

    module = small()
    network = read(torch.compile(module), image())
    assert set(weights_of(network)) == set(weights_of(read(module, image())))
