"""The PyTorch side of :mod:`benchmarks.training_step`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.training_step import N_EIGENVALUES, STRENGTH
from netspectra.bindings.pytorch import ClusterabilityPenalty

__all__ = ["TorchContest"]


class TorchContest:
    """See :class:`benchmarks.training_step.Contest`."""

    def __init__(
        self, images: NDArray[np.float32], digits: NDArray[np.int32], widths: Sequence[int], threads: int
    ) -> None:
        torch.set_num_threads(threads)
        self._images, self._digits = torch.from_numpy(images), torch.from_numpy(digits.astype(np.int64))
        self._nets = [_network(widths) for _ in range(2)]
        self._optimizers = [torch.optim.Adam(net.parameters(), 1e-3) for net in self._nets]
        self._layers = [layer.weight for layer in self._nets[1] if isinstance(layer, nn.Linear)]
        self._penalty = ClusterabilityPenalty(N_EIGENVALUES, STRENGTH)
        self.n_iterations: list[int] = []

    def plain(self, chosen: NDArray[np.int64]) -> None:
        """One step on the task loss alone."""
        self._step(0, chosen)

    def penalised(self, chosen: NDArray[np.int64]) -> None:
        """One step with the penalty."""
        self._step(1, chosen)
        self.n_iterations.append(self._penalty.n_iterations or 0)

    def gradient(self) -> list[NDArray[Any]]:
        """By the module."""
        return _as_in_out(torch.autograd.grad(self._penalty(self._layers), self._layers))

    def dense_gradient(self) -> list[NDArray[Any]]:
        """By autograd through ``torch.linalg.eigh`` of the full Laplacian, float32."""
        weights = [weight.detach().requires_grad_() for weight in self._layers]
        sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
        offsets, n = np.cumsum([0, *sizes]).tolist(), sum(sizes)
        half = torch.zeros(n, n)
        for number, weight in enumerate(weights):
            half[offsets[number + 1] : offsets[number + 2], offsets[number] : offsets[number + 1]] = weight.abs()
        A = half + half.T
        scale = A.sum(1).rsqrt()
        L = torch.eye(n) - scale[:, None] * A * scale
        total = torch.linalg.eigh(L)[0][1 : N_EIGENVALUES + 1].sum()
        return _as_in_out(torch.autograd.grad(STRENGTH / N_EIGENVALUES * total, weights))

    def weights(self) -> list[NDArray[Any]]:
        """Of the second network."""
        return _as_in_out([weight.detach() for weight in self._layers])

    def _step(self, number: int, chosen: NDArray[np.int64]) -> None:
        rows = torch.from_numpy(chosen)
        loss = nn.functional.cross_entropy(self._nets[number](self._images[rows]), self._digits[rows])
        if number:
            loss = loss + self._penalty(self._layers)
        self._optimizers[number].zero_grad()
        loss.backward()
        self._optimizers[number].step()


def _network(widths: Sequence[int]) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _as_in_out(tensors: Sequence[torch.Tensor]) -> list[NDArray[Any]]:
    return [tensor.numpy().T for tensor in tensors]
