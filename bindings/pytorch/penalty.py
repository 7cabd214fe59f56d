"""The clusterability penalty as a PyTorch module: a closed-form gradient, warm-started from step to step.

    penalty = ClusterabilityPenalty(n_eigenvalues=3, strength=0.05)
    loss = task_loss + penalty([layer.weight for layer in layers])
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from netspectra.bindings.pytorch.arrays import from_backend, machine_of, require_alike, to_backend
from netspectra.bindings.pytorch.zeros import KeptZeros
from netspectra.errors import GraphError
from netspectra.kernels import Backend
from netspectra.training.penalty import (
    DEFAULT_MAXITER,
    DEFAULT_TOL,
    PenaltyProblem,
    cold_shape,
    cold_start,
    evaluate,
    penalty_batch,
    penalty_gradients,
    penalty_options,
    penalty_problem,
    require_sound,
)

__all__ = ["ClusterabilityPenalty"]


class ClusterabilityPenalty(torch.nn.Module):
    """``strength / n_eigenvalues`` times the sum of Laplacian eigenvalues 2 to ``n_eigenvalues + 1`` of a network.

    Called with the weights of its layers in PyTorch's orientation, ``(n_out, n_in)`` or ``(n_out, n_in, *spatial)``,
    it returns a scalar that can be added to a loss.

    Parameters
    ----------
    n_eigenvalues : int, default 3
    strength : float, default 0.05
        What the published code of arXiv:2103.03386 calls 0.1, for its gradient is half the true one.
    edges : sequence of (source, target), optional
        Layer numbers, from 0, that each weight reads from and writes to; default a chain.
    norm : {"l1", "l2", "operator-1"}, default "l1"
        Edge between channels of a convolution, of its kernel slice.
    tol : float, default 5e-3
        Bound on ``|L x - lambda x|`` beyond which a step iterates. An eigenvalue's error goes with its square, the
        gradient's with ``tol / gap``. Measured on 784-256x4-10 (Adam, batch 128): with 5e-3 no step iterated after the
        first 20, the residual settled at 1e-3, and the gradient was within 5% of the exact one after 5 steps, within
        1% after 40 and 0.3% after 100; a batch's own noise is larger. Take 1e-10 and float64 weights to test against
        differences.
    maxiter : int, default 500
        Of the eigensolver, where a step needs more than the warm start.
    keep_zeros : bool, default False
        Weights that are exactly zero stay so: the gradient of the *whole* loss by a leaf tensor is masked where it is
        zero, by a hook that is registered once per tensor. An optimizer's momentum from before the pruning is not
        masked: make a new optimizer after pruning. Without it the penalty itself leaves zeros alone (sign(0) = 0), but
        the rest of the loss moves them.
    seed : int, default 0
        Of the random block of the first step.
    backend : str or Backend, default "auto"
        ``"auto"``: ``"cpu"`` for CPU tensors, which are not copied; ``"cuda"`` for CUDA tensors, through DLPack.

    Attributes
    ----------
    eigenvalues : ndarray, shape (n_eigenvalues,), or None
        Of the last call.
    residual : float or None
        Its largest ``|L x - lambda x|``.
    n_iterations : int or None
        Iterations beyond the warm start; 0 while it is good enough.

    Raises
    ------
    GraphError
        If the weights are no chain (or do not fit `edges`), differ in device or dtype, are not finite (once the step
        has diverged; the warm start keeps its last good state), or the graph is too small.
    BackendUnavailableError
        If the weights are on a CUDA device and CuPy is missing: they are never moved to the host.

    Notes
    -----
    Where the sum ends inside a cluster of equal eigenvalues the gradient is not defined; what comes back then is that
    of one choice among the cluster's eigenvectors. First derivatives only: a second backward raises RuntimeError.
    """

    def __init__(
        self,
        n_eigenvalues: int = 3,
        strength: float = 0.05,
        edges: Sequence[tuple[int, int]] | None = None,
        *,
        norm: Any = "l1",
        tol: float = DEFAULT_TOL,
        maxiter: int = DEFAULT_MAXITER,
        keep_zeros: bool = False,
        seed: int = 0,
        backend: Any = "auto",
    ) -> None:
        super().__init__()
        self._options = penalty_options(n_eigenvalues, strength, norm, tol, maxiter, seed)
        self._edges = None if edges is None else tuple(tuple(pair) for pair in edges)
        self._backend = backend
        self._problem: PenaltyProblem | None = None
        self._zeros = KeptZeros() if keep_zeros else None
        self.register_buffer("_block", None, persistent=False)
        self.eigenvalues: Any = None
        self.residual: float | None = None
        self.n_iterations: int | None = None

    @torch.compiler.disable
    def forward(self, weights: Iterable[torch.Tensor]) -> torch.Tensor:
        """Penalty of the weights, a tensor without axes in their dtype."""
        if isinstance(weights, torch.Tensor):
            msg = "weights must be a list of tensors, one per layer, first layer first, got a single tensor"
            raise GraphError(msg)
        tensors = list(weights)
        require_alike(tensors)
        if self._zeros is not None:
            self._zeros.watch(tensors)
        value: torch.Tensor = _Penalty.apply(self, *tensors)  # type: ignore[no-untyped-call]
        return value

    def extra_repr(self) -> str:
        """Options that were given."""
        return ", ".join(f"{name}={value!r}" for name, value in (self._options | {"edges": self._edges}).items())

    def problem(self, shapes: tuple[tuple[int, ...], ...]) -> PenaltyProblem:
        """Problem of weights of these shapes, checked once."""
        if self._problem is None or self._problem.shapes != shapes:
            self._problem = penalty_problem(shapes, edges=self._edges, orientation="out-in", **self._options)
        return self._problem


class _Penalty(torch.autograd.Function):
    """The closed form; the weights' own gradients are computed when they are asked for."""

    @staticmethod
    def forward(ctx: Any, module: ClusterabilityPenalty, *tensors: torch.Tensor) -> torch.Tensor:
        problem = module.problem(tuple(tuple(t.shape) for t in tensors))
        backend = machine_of(tensors[0], module._backend)
        with backend.session():
            weights = [to_backend(backend, t) for t in tensors]
            batch = penalty_batch(backend, problem, weights)
            require_sound(problem, batch, weights)
            found = evaluate(problem, batch, _start(module, backend, problem, tensors[0]))
            module._block = from_backend(found.block)
            module.eigenvalues = backend.to_numpy(found.eigenvalues)
            module.residual, module.n_iterations = float(found.residual), int(found.n_iterations)
            value = from_backend(found.value).to(tensors[0].dtype)
        ctx.save_for_backward(*tensors)
        ctx.found = problem, batch, weights, found.factors
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors  # refuses weights that were changed in place since
        problem, batch, weights, factors = ctx.found
        chosen = [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        scale = float(cotangent) if cotangent.device.type == "cpu" else to_backend(batch.backend, cotangent)
        out: list[Any] = [None] * (1 + len(tensors))
        with batch.backend.session():
            gradients = penalty_gradients(problem, batch, weights, factors, scale, chosen)
            for i, gradient in zip(chosen, gradients, strict=True):
                out[1 + i] = from_backend(gradient).to(tensors[i].dtype)
        if torch.is_grad_enabled():  # of create_graph=True
            out = [None if g is None else _FirstOnly.apply(g, t) for g, t in zip(out, (None, *tensors), strict=True)]  # type: ignore[no-untyped-call]
        return tuple(out)


class _FirstOnly(torch.autograd.Function):
    """A gradient as it is, which refuses to be differentiated: PyTorch would take it for a constant.

    ``once_differentiable`` refuses only where the *incoming* gradient needs one, so not below a plain sum of losses.
    """

    @staticmethod
    def forward(ctx: Any, gradient: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        del ctx, weight
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[None, None]:
        del ctx, cotangent
        msg = (
            "ClusterabilityPenalty has first derivatives only: leave it out of the loss whose gradient is "
            "differentiated again, and add its own gradient in a backward() of its own"
        )
        raise RuntimeError(msg)


def _start(module: ClusterabilityPenalty, backend: Backend, problem: PenaltyProblem, like: torch.Tensor) -> Any:
    """The last step's block where there is one that fits, else a random one."""
    block = module._block
    dtype = like.dtype if like.dtype == torch.float64 else torch.float32
    if block is None or tuple(block.shape) != cold_shape(problem):
        return cold_start(backend, problem, getattr(backend.xp, str(dtype).removeprefix("torch.")))
    return to_backend(backend, block.to(device=like.device, dtype=dtype))
