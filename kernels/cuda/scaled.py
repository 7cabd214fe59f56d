"""The explicit matrix of small problems on the device: see ``scaled.cu``."""

from collections.abc import Sequence
from typing import Any

from netspectra.kernels.cuda.launcher import WARP, Launcher
from netspectra.kernels.cuda.layout import (
    BLOCK,
    MAX_GRID_YZ,
    csr_arguments,
    csr_types,
    dtype_name,
    element_strides,
    run_flat,
)
from netspectra.kernels.cuda.sources import Kernel
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["scaled_dense"]


def scaled_dense(
    xp: Any,
    launcher: Launcher,
    shape: tuple[int, int],
    blocks: "Sequence[tuple[BlockWeights, int, int, bool]]",
    rows: Any,
    cols: Any,
) -> Any:
    """Dense ``diag(rows) sum(|W|) diag(cols)`` per member; see :class:`netspectra.kernels.backend.Backend`."""
    out = xp.zeros((rows.shape[0], *shape), dtype=rows.dtype)
    for weights, row, col, transposed in blocks:
        m, n = weights.shape[::-1] if transposed else weights.shape
        corner = out[:, row : row + m, col : col + n]
        ends = rows[:, row : row + m], cols[:, col : col + n]
        add = _add_csr if isinstance(weights, CsrWeights) else _add_dense
        add(launcher, weights, transposed, corner, *ends)  # type: ignore[arg-type]
    return out


def _add_dense(launcher: Launcher, weights: DenseWeights, transposed: bool, out: Any, rows: Any, cols: Any) -> None:
    members, height, width = (int(size) for size in out.shape)
    member, row, col = element_strides(weights.values)
    if transposed:
        row, col = col, row
    view = [weights.values, member if weights.n_members > 1 else 0, row, col]
    types = (("STORE", dtype_name(weights.values)), ("WORK", dtype_name(out)), ("INDEX", "int32"))
    grid = (-(-width // BLOCK), min(height, MAX_GRID_YZ), members)
    arguments = [*view, *_target(out), height, width, *_scale(rows), *_scale(cols)]
    launcher.launch(Kernel("scaled.cu", "add_scaled", types), grid, BLOCK, arguments)


def _add_csr(launcher: Launcher, weights: CsrWeights, transposed: bool, out: Any, rows: Any, cols: Any) -> None:
    kernel = Kernel("scaled.cu", "add_scaled_csr", csr_types(weights, WORK=dtype_name(out)))
    arguments = [*csr_arguments(weights), int(transposed), *_target(out), *_scale(rows), *_scale(cols)]
    run_flat(launcher, kernel, weights.shape[0] * WARP, int(out.shape[0]), arguments)


def _target(out: Any) -> list[Any]:
    member, row, _ = element_strides(out)
    return [out, member, row]


def _scale(scale: Any) -> list[Any]:
    return [scale, element_strides(scale)[0]]
