"""The clusterability penalty as a PyTorch module: a closed-form gradient, warm-started from step to step.

penalty = ClusterabilityPenalty(n_eigenvalues=3, strength=0.05)
loss = task_loss + penalty([layer.weight for layer in layers])
"""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from netspectra.bindings.pytorch.arrays import device_scope, from_backend, machine_of, require_alike, to_backend
from netspectra.bindings.pytorch.zeros import KeptZeros
from netspectra.errors import GraphError
from netspectra.graph.batch import GraphBatch
from netspectra.training.gradient import SpectralFactors
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


class ClusterabilityPenalty(torch.nn.Module):  # type: ignore[misc]
    """``strength / n_eigenvalues`` times the sum of Laplacian eigenvalues 2 to ``n_eigenvalues + 1`` of a network.

    Called with the weights of its layers in PyTorch's orientation, ``(n_out, n_in)`` or ``(n_out, n_in, *spatial)``,
    it returns a scalar that can be added to a loss.

    Parameters
    ----------
    n_eigenvalues : int, default 3
    strength : float, default 0.05
        May be set later (``penalty.strength = ...``). What the published code of arXiv:2103.03386 calls 0.1, for its
        gradient is half the true one.
    edges : sequence of (source, target), optional
        Layer numbers, from 0, that each weight reads from and writes to; default a chain.
    norm : {"l1", "l2", "operator-1"}, default "l1"
        Edge between channels of a convolution, of its kernel slice.
    tol : float, default 5e-3
        Bound on ``|L x - lambda x|`` beyond which a step iterates. An eigenvalue's error goes with its square, the
        gradient's with ``tol / gap``. Measured on 784-256x4-10 (Adam, batch 128): with 5e-3 no step iterated after the
        first 20, the residual settled at 1e-3, and the gradient was within 5% of the exact one after 5 steps, within
        1% after 40 and 0.3% after 100; a batch's own noise is larger. Take 1e-10 and float64 weights to test against
        differences; in float32 nothing below 4e-6 is asked for.
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
        self._edges = edges
        self._backend = backend
        self._problem: PenaltyProblem | None = None
        self._cold_shape: tuple[int, ...] = ()
        self._zeros = KeptZeros() if keep_zeros else None
        self.register_buffer("_block", None, persistent=False)
        self._last: tuple[Any, float | None, int | None] = None, None, None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, weights: Iterable[torch.Tensor]) -> torch.Tensor:
        """Penalty of the weights, a tensor without axes in their dtype."""
        if isinstance(weights, torch.Tensor):
            msg = "weights must be a list of tensors, one per layer, first layer first, got a single tensor"
            raise GraphError(msg)
        tensors = list(weights)
        require_alike(tensors)
        if self._zeros is not None:
            self._zeros.watch(tensors)
        return _Penalty.apply(self, *tensors)

    @property
    def strength(self) -> float:
        """May be set between steps, for a schedule."""
        return float(self._options["strength"])

    @strength.setter
    def strength(self, value: float) -> None:
        self._options = penalty_options(**(self._options | {"strength": value}))
        self._problem = None

    @property
    def eigenvalues(self) -> Any:
        """Eigenvalues 2 to ``n_eigenvalues + 1`` at the last call, ascending."""
        return self._last[0]

    @property
    def residual(self) -> float | None:
        """Their largest ``|L x - lambda x|``."""
        return self._last[1]

    @property
    def n_iterations(self) -> int | None:
        """Iterations of the last call beyond the warm start."""
        return self._last[2]

    def extra_repr(self) -> str:
        """Options that were given."""
        shown = self._options | {"edges": self._edges, "keep_zeros": self._zeros is not None, "backend": self._backend}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    def evaluated(self, tensors: Sequence[torch.Tensor]) -> "tuple[torch.Tensor, _Evaluated]":
        """Penalty of the weights, and what its gradient needs; keeps what the next call starts from."""
        shapes = tuple(tuple(tensor.shape) for tensor in tensors)
        if self._problem is None or self._problem.shapes != shapes:
            self._problem = penalty_problem(shapes, edges=self._edges, orientation="out-in", **self._options)
            self._cold_shape = cold_shape(self._problem)
        problem, backend = self._problem, machine_of(tensors[0], self._backend)
        with device_scope(backend, sum(tensor.numel() for tensor in tensors)):
            weights = [to_backend(backend, tensor) for tensor in tensors]
            batch = penalty_batch(backend, problem, weights)
            block = self._warm_block(tensors[0])
            require_sound(problem, batch, weights)
            start = cold_start(backend, problem, batch.dtype) if block is None else to_backend(backend, block)
            found = evaluate(problem, batch, start)
            residual, n_iterations = float(found.residual), int(found.n_iterations)
            self._block, value = from_backend(found.block), from_backend(found.value)
            self._last = backend.to_numpy(found.eigenvalues), residual, n_iterations
        if not residual <= problem.tol_for(found.value.dtype):
            msg = (
                f"the penalty's eigenpairs have a residual of {residual:.1e}, above tol={problem.tol:.1e}, after "
                f"{n_iterations} iterations; raise tol or maxiter, or take float64 weights"
            )
            warnings.warn(msg, RuntimeWarning, stacklevel=6)
        return _in_dtype(value, tensors[0].dtype), _Evaluated(problem, batch, weights, found.factors)

    def _warm_block(self, like: torch.Tensor) -> torch.Tensor | None:
        """The last call's block, where there is one that fits, beside the weights and in the dtype of the work."""
        block: torch.Tensor | None = self._block
        if block is None or tuple(block.shape) != self._cold_shape:
            return None
        block = block if block.device == like.device else block.to(like.device)
        return _in_dtype(block, torch.float64 if like.dtype == torch.float64 else torch.float32)


class _Evaluated(NamedTuple):
    """What the gradient needs. Not the penalty itself: autograd's node would then hold what holds the node."""

    problem: PenaltyProblem
    batch: GraphBatch
    weights: list[Any]
    factors: SpectralFactors


class _Penalty(torch.autograd.Function):  # type: ignore[misc]
    """The closed form; gradients are computed when they are asked for."""

    @staticmethod
    def forward(ctx: Any, module: ClusterabilityPenalty, *tensors: torch.Tensor) -> torch.Tensor:
        value, ctx.found = module.evaluated(tensors)
        ctx.save_for_backward(*tensors)
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[Any, ...]:
        tensors, found = ctx.saved_tensors, ctx.found  # refuses weights that were changed in place since
        backend, chosen = found.batch.backend, [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        scale = float(cotangent) if cotangent.device.type == "cpu" else to_backend(backend, cotangent)
        out: list[Any] = [None] * (1 + len(tensors))
        with device_scope(backend):
            gradients = penalty_gradients(found.problem, found.batch, found.weights, found.factors, scale, chosen)
            for i, gradient in zip(chosen, gradients, strict=True):
                out[1 + i] = _in_dtype(from_backend(gradient), tensors[i].dtype)
        if torch.is_grad_enabled():  # of create_graph=True
            out = [g if g is None else _FirstOnly.apply(g, t) for g, t in zip(out, (None, *tensors), strict=True)]
        return tuple(out)


class _FirstOnly(torch.autograd.Function):  # type: ignore[misc]
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


def _in_dtype(tensor: torch.Tensor, dtype: Any) -> torch.Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)
