"""The penalty as a PyTorch module: its gradient, its warm start, its bad input."""

from __future__ import annotations

import copy
import gc
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest

from netspectra.errors import BackendUnavailableError, GraphError
from netspectra.kernels.cpu import CpuBackend

pytestmark = pytest.mark.requires("torch")

SKIPS = [(0, 1), (1, 2), (0, 2), (2, 3)]


@pytest.fixture
def torch(require):
    return require("torch")


@pytest.fixture
def penalty_of(torch):
    from netspectra.bindings.pytorch import ClusterabilityPenalty

    return ClusterabilityPenalty


def planted(torch, shapes, k=3, seed=0, dtype="float64"):
    """Signed leaf weights (n_out, n_in, *spatial) with k modules per layer, of different strengths."""
    rng, found = np.random.default_rng(seed), []
    for shape in shapes:
        out, into = (np.arange(size) * k // size for size in shape[:2])
        strength = np.where(out[:, None] == into[None, :], 1.0, 0.2) * (1 + 0.3 * np.arange(k))[out][:, None]
        W = rng.uniform(0.5, 1.5, shape) * strength.reshape(*shape[:2], *[1] * (len(shape) - 2))
        W *= rng.choice([-1, 1], shape)
        found.append(torch.tensor(W, dtype=getattr(torch, dtype), requires_grad=True))
    return found


def dense_sum(torch, weights, q, edges=None, norm="l1"):
    """Sum of eigenvalues 2 to q + 1 of the full Laplacian by torch.linalg.eigh, differentiable by autograd."""
    pairs = edges or [(i, i + 1) for i in range(len(weights))]
    sizes = {}
    for W, (source, target) in zip(weights, pairs, strict=True):
        sizes[source], sizes[target] = W.shape[1], W.shape[0]
    offsets = np.cumsum([0, *(sizes[i] for i in range(len(sizes)))])
    A = torch.zeros(int(offsets[-1]), int(offsets[-1]), dtype=weights[0].dtype)
    for W, (source, target) in zip(weights, pairs, strict=True):
        edges_of = {"l1": lambda K: K.abs().sum((2, 3)), "l2": lambda K: (K * K).sum((2, 3)).sqrt()}
        edges_of["operator-1"] = lambda K: K.abs().sum(2).amax(2)
        half = torch.zeros_like(A)
        i, j = (slice(int(offsets[end]), int(offsets[end + 1])) for end in (target, source))
        half[i, j] = edges_of[norm](W) if W.ndim > 2 else W.abs()
        A = A + half + half.T
    degrees = A.sum(1)
    scale = torch.where(degrees > 0, degrees, 1).rsqrt() * (degrees > 0)
    L = torch.diag((degrees > 0).to(A.dtype)) - scale[:, None] * A * scale
    return torch.linalg.eigh(L)[0][1 : q + 1].sum()


NETWORKS = {
    "mlp": ([(9, 12), (8, 9), (6, 8)], None, "l1"),
    "skips": ([(9, 12), (8, 9), (8, 12), (6, 8)], SKIPS, "l1"),
    "reduced": ([(20, 30), (24, 20)], None, "l1"),
    **{f"conv-{norm}": ([(9, 12, 3, 3), (8, 9, 1, 2)], None, norm) for norm in ("l1", "l2", "operator-1")},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_autograd_through_dense_eigh_agrees(torch, penalty_of, name):
    shapes, edges, norm = NETWORKS[name]
    weights = planted(torch, shapes)
    penalty = penalty_of(2, 0.3, edges, norm=norm, tol=1e-11)
    found = penalty(weights)
    assert found.shape == ()
    assert penalty.residual <= 1e-10
    gradients = torch.autograd.grad(found, weights)
    expected = 0.15 * dense_sum(torch, weights, 2, edges, norm)
    exact = torch.autograd.grad(expected, weights)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    for gradient, reference in zip(gradients, exact, strict=True):
        assert float((gradient - reference).norm() / reference.norm()) <= 1e-8


def test_gradcheck(torch, penalty_of):
    """PyTorch's own central differences, the task loss in front of it."""
    weights = planted(torch, [(5, 7), (4, 5)], k=2)
    penalty = penalty_of(1, 0.5, tol=1e-12)
    assert torch.autograd.gradcheck(lambda *w: 3.0 * penalty(w) ** 2, weights, eps=1e-6, atol=1e-7)


def test_added_to_a_loss_it_adds_its_gradient(torch, penalty_of):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 8))
    weights, x = [net[0].weight, net[2].weight], torch.randn(5, 12)
    penalty = penalty_of(2, 0.2, tol=1e-6)
    task = torch.autograd.grad(net(x).square().mean(), weights)
    alone = torch.autograd.grad(penalty(weights), weights)
    (net(x).square().mean() + 2.0 * penalty(weights)).backward()
    for weight, one, two in zip(weights, task, alone, strict=True):
        torch.testing.assert_close(weight.grad, one + 2.0 * two, rtol=1e-4, atol=1e-7)


def test_warm_start_ends_the_iterations(torch, penalty_of):
    weights = planted(torch, [(30, 40), (24, 30)], dtype="float32")
    penalty = penalty_of(2)
    penalty(weights)
    assert penalty.n_iterations > 0
    for _ in range(8):
        with torch.no_grad():
            for W in weights:
                W.mul_(1 + 0.02 * torch.randn_like(W))
        penalty(weights)
        assert penalty.n_iterations == 0
    exact = dense_sum(torch, [W.double() for W in weights], 2)
    assert float(penalty.eigenvalues.sum()) == pytest.approx(exact.item(), abs=1e-4)


def test_training_lowers_the_eigenvalues(torch, penalty_of):
    weights = planted(torch, [(20, 30), (24, 20)], dtype="float32")
    penalty, optimizer = penalty_of(3, 1.0), torch.optim.Adam(weights, 0.02)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = penalty(weights)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]


def test_cpu_tensors_are_not_copied(torch, penalty_of, monkeypatch):
    from netspectra.bindings.pytorch import penalty as module

    seen = []
    original = module.penalty_batch

    def spy(backend, problem, arrays):
        seen.extend(arrays)
        return original(backend, problem, arrays)

    monkeypatch.setattr(module, "penalty_batch", spy)
    weights = planted(torch, [(9, 12), (8, 9)], dtype="float32")
    penalty_of(2)(weights)
    assert [array.ctypes.data for array in seen] == [W.data_ptr() for W in weights]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_weights_are_computed_in_float32(torch, penalty_of, dtype):
    weights = planted(torch, [(9, 12), (8, 9)], dtype=dtype)
    wide = [W.detach().float().requires_grad_() for W in weights]
    narrow, reference = (penalty_of(2, tol=1e-5)(w) for w in (weights, wide))
    assert narrow.dtype == weights[0].dtype
    gradients, exact = torch.autograd.grad(narrow, weights), torch.autograd.grad(reference, wide)
    for gradient, expected in zip(gradients, exact, strict=True):
        assert gradient.dtype == weights[0].dtype
        torch.testing.assert_close(gradient.float(), expected, rtol=2e-2, atol=1e-4)


def test_no_grad_and_frozen_weights(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9)])
    penalty = penalty_of(2)
    with torch.no_grad():
        assert not penalty(weights).requires_grad
    weights[0].requires_grad_(False)
    penalty(weights).backward()
    assert weights[0].grad is None
    assert weights[1].grad.abs().sum() > 0


def test_a_second_derivative_is_refused(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9)])
    loss = penalty_of(2)(weights) + sum(W.square().sum() for W in weights)
    gradient = torch.autograd.grad(loss, weights, create_graph=True)
    with pytest.raises(RuntimeError, match="first derivatives only"):
        gradient[0].square().sum().backward()


def test_weights_changed_between_forward_and_backward_are_refused(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9)])
    value = penalty_of(2)(weights)
    with torch.no_grad():
        weights[0].add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


# -- the module --------------------------------------------------------------------------------------------------------


def test_the_block_is_a_buffer_that_is_not_saved(torch, penalty_of):
    weights = planted(torch, [(20, 30), (24, 20)], dtype="float32")
    penalty = penalty_of(2)
    penalty(weights)
    assert [name for name, _ in penalty.named_buffers()] == ["_block"]
    assert penalty.state_dict() == {}
    assert penalty.double()._block.dtype == torch.float64  # follows .to(), and is taken back where it is used
    assert penalty(weights).dtype == torch.float32
    assert penalty.n_iterations == 0


@pytest.mark.parametrize("keep_zeros", [False, True])
def test_copies_and_pickles_go_on_warm(torch, penalty_of, keep_zeros):
    weights = planted(torch, [(20, 30), (24, 20)], dtype="float32")
    penalty = penalty_of(2, keep_zeros=keep_zeros)
    penalty(weights)
    for twin in (copy.deepcopy(penalty), pickle.loads(pickle.dumps(penalty))):  # noqa: S301
        value = twin(weights)
        assert twin.n_iterations == 0
        assert value.item() == pytest.approx(penalty(weights).item(), abs=1e-6)


def test_a_change_of_shapes_starts_cold(torch, penalty_of):
    penalty = penalty_of(2)
    for shapes in ([(20, 30), (24, 20)], [(9, 12), (8, 9)]):
        weights = planted(torch, shapes)
        penalty(weights)
        exact = dense_sum(torch, weights, 2)
        assert float(penalty.eigenvalues.sum()) == pytest.approx(exact.item(), abs=1e-4)
        assert penalty.n_iterations > 0


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # Dynamo's own look at our result
def test_compiled_models_may_call_it(torch, penalty_of):
    """It stays outside the compiled graph."""
    weights = planted(torch, [(9, 12), (8, 9)])
    penalty = penalty_of(2, tol=1e-8)
    compiled = torch.compile(lambda w: 2.0 * penalty(w), backend="eager")
    assert compiled(weights).item() == pytest.approx(2.0 * penalty(weights).item(), rel=1e-9)


def test_the_representation_says_what_was_asked(penalty_of):
    assert "n_eigenvalues=2, strength=0.1" in repr(penalty_of(2, 0.1))


def test_pruned_weights_stay_zero_when_asked(torch, penalty_of):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.ReLU(), torch.nn.Linear(9, 8))
    weights = [net[0].weight, net[2].weight]
    with torch.no_grad():
        for W in weights:
            W[torch.rand_like(W) < 0.5] = 0
    pruned = [W == 0 for W in weights]
    penalty, optimizer = penalty_of(2, keep_zeros=True), torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(5):
        optimizer.zero_grad()
        (net(torch.randn(16, 12)).square().mean() + penalty(weights)).backward()
        optimizer.step()
    for W, mask in zip(weights, pruned, strict=True):
        assert not W[mask].any()
        assert W[~mask].all()
        assert len(W._backward_hooks) == 1


def test_without_asking_only_the_penalty_leaves_zeros_alone(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9)])
    with torch.no_grad():
        weights[0][2, 3] = 0
    (penalty_of(2)(weights) + weights[0].sum()).backward()
    assert weights[0].grad[2, 3] == 1


def test_a_penalty_that_is_never_differentiated_is_freed(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9)])
    value = penalty_of(2)(weights)
    alive = weakref.ref(value.grad_fn.found.batch)
    del value
    assert alive() is None, "autograd's node and its result hold each other"


def test_hooked_tensors_are_held_weakly(torch, penalty_of):
    penalty = penalty_of(2, keep_zeros=True)
    weights = planted(torch, [(9, 12), (8, 9)])
    penalty(weights).backward()
    alive = weakref.ref(weights[0])
    del weights
    gc.collect()
    assert alive() is None


def test_eigenpairs_that_do_not_converge_are_told(torch, penalty_of):
    weights = planted(torch, [(9, 12), (8, 9), (8, 12), (6, 8)])
    with pytest.warns(RuntimeWarning, match=r"residual of .* above tol=1.0e-12, after \d+ iterations; raise tol"):
        penalty_of(2, edges=SKIPS, tol=1e-12, maxiter=1)(weights)


def test_a_tolerance_that_float32_cannot_reach_is_not_asked_for(torch, penalty_of):
    weights = planted(torch, [(20, 30), (24, 20)], dtype="float32")
    penalty = penalty_of(2, tol=1e-12)
    penalty(weights)
    assert penalty.residual <= 4e-6


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_diverged_step_raises_and_leaves_the_warm_start(torch, penalty_of):
    weights = planted(torch, [(20, 30), (24, 20)], dtype="float32")
    penalty = penalty_of(2)
    penalty(weights)
    block, value, kept = penalty._block.clone(), penalty(weights).item(), weights[1][4, 5].item()
    block = penalty._block.clone()
    with torch.no_grad():
        weights[1][4, 5] = float("nan")
    with pytest.raises(
        GraphError, match=r"diverged: weights\[1\]: 1 of 480 values are not finite, first nan at \(4, 5\)"
    ):
        penalty(weights)
    torch.testing.assert_close(penalty._block, block)
    with torch.no_grad():
        weights[1][4, 5] = kept
    assert penalty(weights).item() == pytest.approx(value, abs=1e-6)
    assert penalty.n_iterations == 0


def test_bad_weights_are_told(torch, penalty_of):
    good = planted(torch, [(9, 12), (8, 9)])
    cases = [
        (good[0], "got a single tensor"),
        ([], "at least one layer, got an empty list"),
        ([good[0], good[1].detach().numpy()], r"weights\[1\]: expected a tensor, got ndarray"),
        ([torch.nn.Linear(3, 4)], r"pass its \.weight"),
        (
            [good[0], good[1].float()],
            r"share one dtype: weights\[0\] has torch.float64, weights\[1\] has torch.float32",
        ),
        ([good[0].long(), good[1].long()], "dense tensor of real floats"),
        ([good[0], good[1].detach().to("meta")], "share one device"),
        ([W.detach().to("meta") for W in good], "on meta, where no backend works"),
        ([good[1], good[0]], r"weights\[0\] and weights\[1\] do not fit together"),
    ]
    for weights, message in cases:
        with pytest.raises(GraphError, match=message):
            penalty_of(2)(weights)


def test_options_are_checked_when_they_are_given(penalty_of):
    for options, message in [
        ({"n_eigenvalues": 0}, "n_eigenvalues must be"),
        ({"strength": float("inf")}, "strength must be"),
        ({"norm": "l3"}, "norm must be"),
        ({"tol": 2.0}, "tol must be"),
    ]:
        with pytest.raises(GraphError, match=message):
            penalty_of(**options)


def test_a_backend_that_works_elsewhere_is_refused(torch, penalty_of):
    class Elsewhere(CpuBackend):
        def __init__(self):
            super().__init__(1)
            self.device = "cuda:0"

    with pytest.raises(GraphError, match="weights are on cpu, but backend 'cpu' works on cuda:0"):
        penalty_of(2, backend=Elsewhere())(planted(torch, [(9, 12), (8, 9)]))


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_named_backends_give_the_same(torch, penalty_of, backend):
    weights = planted(torch, [(9, 12), (8, 9)])
    value = penalty_of(2, tol=1e-10, backend=backend)(weights)
    assert value.item() == pytest.approx(0.025 * dense_sum(torch, weights, 2).item(), rel=1e-10)


def test_without_pytorch_the_import_names_what_to_install():
    code = (
        "import importlib.util as u, sys\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a)\n"
        "import netspectra\n"
        "try:\n"
        "    import netspectra.bindings.pytorch\n"
        "except netspectra.errors.BackendUnavailableError as error:\n"
        "    print(error)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "netspectra[torch]"' in done.stdout
    assert issubclass(BackendUnavailableError, RuntimeError)


def test_a_warm_step_looks_for_live_nodes_too(torch, penalty_of):
    penalty = penalty_of()
    weights = [torch.randn(shape) for shape in ((16, 20), (16, 16), (6, 16))]
    penalty(weights)
    few = [torch.zeros_like(w) for w in weights]
    few[0][:2, :2] = 1.0
    for bad in (few, [torch.zeros_like(w) for w in weights]):
        with pytest.raises(GraphError, match="nodes with any weight"):
            penalty(bad)
    assert penalty(weights) > 0


def test_the_strength_may_follow_a_schedule(torch, penalty_of):
    penalty = penalty_of(strength=0.05, tol=1e-4)
    weights = [torch.randn(shape) for shape in ((16, 20), (16, 16))]
    before = float(penalty(weights))
    penalty.strength = 0.1
    assert float(penalty(weights)) == pytest.approx(2 * before, rel=1e-3)
    with pytest.raises(GraphError, match="strength must be a finite number"):
        penalty.strength = float("nan")


def test_a_small_graph_with_dead_units_is_tracked_whole(torch, penalty_of):
    """Two units on one side have three eigenvalues only where those above 1 count, as they do without the reduction."""
    weight = torch.rand(2, 5, dtype=torch.float64) + 0.1
    weight[:, 0] = 0.0
    penalty = penalty_of(3, 3.0, tol=1e-10)
    assert float(penalty([weight])) == pytest.approx(float(dense_sum(torch, [weight[:, 1:]], 3)), rel=1e-6)
