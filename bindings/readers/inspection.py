"""What a file holds, before anything is computed from it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netspectra.bindings.readers.formats import open_tensors
from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.bindings.readers.orientation import OrientationChoice, decide_orientation, require_orientation
from netspectra.bindings.readers.selection import LoadReport, layer_names, select_weights
from netspectra.bindings.readers.tensors import Array
from netspectra.errors import AmbiguousOrientationError, GraphError
from netspectra.graph import Layer
from netspectra.graph.dtypes import widest_dtype
from netspectra.graph.layer_graph import Orientation
from netspectra.graph.panels import row_panels
from netspectra.records import SCHEMA_VERSION, plain

__all__ = ["FileInspection", "inspect_file"]


@dataclass(frozen=True)
class FileInspection:
    """What :func:`~netspectra.bindings.readers.load` would make of a file.

    Attributes
    ----------
    format : str
        ``"npz"`` or ``"safetensors"``.
    report : LoadReport
        Tensors taken, in layer order, and skipped ones with the reasons.
    n_nonzero : tuple of int
        Non-zero weights of each tensor taken.
    n_bytes : int
        Bytes of the tensors taken.
    dtype : str
        Widest storage dtype among them (integers are computed in float64).
    orientation : {"in-out", "out-in"} or None
        None where it cannot be decided; then `problem` says why and `layers` is empty.
    layers : tuple of Layer
    problem : str or None
        The message of the error that ``load`` would raise for the shapes, None where it would raise none.
    metadata : dict of str to str
        What a safetensors file says of itself.
    """

    format: str
    report: LoadReport
    n_nonzero: tuple[int, ...]
    n_bytes: int
    dtype: str
    orientation: Orientation | None
    layers: tuple[Layer, ...]
    problem: str | None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def n_nodes(self) -> int | None:
        """Nodes of the graph; None where the layers are not known."""
        return sum(layer.size for layer in self.layers) if self.layers else None

    @property
    def n_weights(self) -> int:
        """Stored weights, zeros included."""
        return sum(record.shape[0] * record.shape[1] for record in self.report.taken)

    @property
    def n_edges(self) -> int:
        """Non-zero weights."""
        return sum(self.n_nonzero)

    @property
    def density(self) -> float:
        """Non-zero weights over stored weights."""
        return self.n_edges / self.n_weights

    def summary(self) -> str:
        """Return the inspection as plain text, one plain sentence last."""
        lines = [f"{record.name}: {record.shape} {record.dtype}" for record in self.report.taken]
        lines += [f"skipped {skipped.name}: {skipped.shape} ({skipped.reason})" for skipped in self.report.skipped]
        return "\n".join([*lines, self.verdict])

    @property
    def verdict(self) -> str:
        """One plain sentence: the network, or why there is none yet."""
        if self.problem is not None:
            return f"No network can be read yet: {self.problem}."
        sizes = "-".join(str(layer.size) for layer in self.layers)
        return (
            f"A network of {len(self.layers)} layers ({sizes}) with {self.n_nodes:,} nodes and {self.n_edges:,} edges "
            f"(density {self.density:.1%}), stored as {self.dtype} with orientation {self.orientation!r}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types, with `schema_version`."""
        content = plain(self)
        report, counts = content.pop("report"), content.pop("n_nonzero")
        return {
            "schema_version": SCHEMA_VERSION,
            "path": report["path"],
            "tensors": [{**record, "n_nonzero": count} for record, count in zip(report["taken"], counts, strict=True)],
            "skipped": report["skipped"],
            **content,
            "n_nodes": self.n_nodes,
            "n_edges": self.n_edges,
            "n_weights": self.n_weights,
            "density": self.density,
        }


def inspect_file(
    path: str | os.PathLike[str],
    *,
    orientation: OrientationChoice = "auto",
    order: Sequence[str] | None = None,
    limits: LoadLimits | None = None,
) -> FileInspection:
    """Look into a file: what would be read, what skipped, and what network that makes.

    Weights are only counted, a panel at a time. Shapes that do not chain, or chain both ways, are reported in
    `problem` instead of raised; parameters and other errors are those of :func:`~netspectra.bindings.readers.load`.

    Returns
    -------
    FileInspection

    Raises
    ------
    FileFormatError, LimitError
        As ``load``.
    GraphError
        If `orientation` is no orientation, or `order` names what is not there.
    """
    require_orientation(orientation)
    with open_tensors(path, as_limits(limits)) as file:
        report = select_weights(file, order)
        side, problem = None, None
        try:
            side = decide_orientation(report.taken, orientation, file.path)
        except (AmbiguousOrientationError, GraphError) as error:
            problem = str(error)
        tensors = [file.tensors[record.name] for record in report.taken]
        counts = [_count(tensor.read()) for tensor in tensors]
        problem = problem or _unusable(report, counts)
        stored = [tensor.dtype for tensor in tensors if tensor.dtype is not None]
        return FileInspection(
            format=file.format,
            report=report,
            n_nonzero=tuple(nonzero for nonzero, _ in counts),
            n_bytes=sum(tensor.n_bytes for tensor in tensors),
            dtype=widest_dtype([np.dtype(np.float64) if d.kind in "biu" else d for d in stored]).name,
            orientation=side,
            layers=_layers(report, side),
            problem=problem,
            metadata=dict(file.metadata),
        )


def _layers(report: LoadReport, side: Orientation | None) -> tuple[Layer, ...]:
    if side is None:
        return ()
    shapes = [record.shape if side == "in-out" else record.shape[::-1] for record in report.taken]
    sizes = [shapes[0][0], *(shape[1] for shape in shapes)]
    names = layer_names([record.name for record in report.taken])
    return tuple(Layer(name, size) for name, size in zip(names, sizes, strict=True))


def _count(matrix: Array) -> tuple[int, int]:
    """Non-zero and non-finite values of a matrix, panel by panel."""
    nonzero = wrong = 0
    for rows in row_panels(matrix):
        nonzero += int(np.count_nonzero(matrix[rows]))
        wrong += int(np.count_nonzero(~np.isfinite(matrix[rows])))
    return nonzero, wrong


def _unusable(report: LoadReport, counts: list[tuple[int, int]]) -> str | None:
    """Why a test would refuse what can be read: values that are not finite, a matrix of zeros."""
    for record, (nonzero, wrong) in zip(report.taken, counts, strict=True):
        if wrong:
            return f"{record.name}: {wrong:,} NaN or infinite value(s)"
        if nonzero == 0:
            return f"{record.name}: all weights are zero, which cuts the network apart"
    return None
