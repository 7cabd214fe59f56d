"""What a file holds and what a test of it would take, before anything is computed from it."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from netspectra.bindings.readers.blocks import BlockRecord, block_records
from netspectra.bindings.readers.counting import Count, count_weights
from netspectra.bindings.readers.estimate import TestEstimate, estimate_test
from netspectra.bindings.readers.limits import LoadLimits, as_limits
from netspectra.bindings.readers.opening import Found, Reading, open_network
from netspectra.bindings.readers.orientation import OrientationChoice
from netspectra.bindings.readers.selection import LoadReport, with_more_skipped
from netspectra.errors import GraphError
from netspectra.graph import Layer
from netspectra.graph.dtypes import widest_dtype
from netspectra.graph.layer_graph import Orientation
from netspectra.networks import GraphChoices, Network
from netspectra.networks.build import GraphPlan, plan_graph
from netspectra.records import SCHEMA_VERSION, plain

__all__ = ["FileInspection", "inspect_file"]


@dataclass(frozen=True)
class FileInspection:
    """What :func:`~netspectra.bindings.readers.load` would make of a file.

    Attributes
    ----------
    format : str
        ``"npz"``, ``"safetensors"``, ``"pytorch"``, ``"onnx"`` or ``"keras"``.
    report : LoadReport
        Tensors taken, in the order of the operations that use them, and skipped ones with the reasons.
    n_nonzero : tuple of int
        Non-zero weights of each tensor taken; estimates where `sampled`.
    n_bytes : int
        Bytes of the tensors taken.
    dtype : str
        Widest storage dtype among them (integers are computed in float64).
    orientation : {"in-out", "out-in"} or None
        Of all matrices; None where they differ, or where it cannot be decided: then `problem` says why and `layers`
        is empty.
    layers : tuple of Layer
    problem : str or None
        The message of the error that ``load`` would raise for the shapes, None where it would raise none.
    metadata : dict of str to str
        What a safetensors file says of itself.
    blocks : tuple of BlockRecord
        What joins the layers.
    sampled : bool
        Whether numbers of non-zero weights and edges are estimates from a sample of the weights.
    estimate : TestEstimate or None
        What one null network of a test is reckoned to take; None where there is no graph.
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
    blocks: tuple[BlockRecord, ...] = ()
    sampled: bool = False
    estimate: TestEstimate | None = None

    @property
    def n_nodes(self) -> int | None:
        """Nodes of the graph; None where the layers are not known."""
        return sum(layer.size for layer in self.layers) if self.layers else None

    @property
    def n_weights(self) -> int:
        """Numbers in the tensors taken, zeros included."""
        return sum(math.prod(record.shape) for record in self.report.taken)

    @property
    def n_stored(self) -> int:
        """Places for edges; numbers in the tensors where there are no blocks."""
        return sum(block.n_stored for block in self.blocks) if self.blocks else self.n_weights

    @property
    def n_edges(self) -> int:
        """Edges of the graph, non-zero weights where there is none; an estimate where `sampled`."""
        return sum(block.n_edges for block in self.blocks) if self.blocks else sum(self.n_nonzero)

    @property
    def density(self) -> float:
        """Edges over places for edges."""
        return self.n_edges / max(1, self.n_stored)

    def summary(self) -> str:
        """Return the inspection as plain text, plain sentences last."""
        lines = [f"{record.name}: {record.shape} {record.dtype}" for record in self.report.taken]
        lines += [f"skipped {skipped.name}: {skipped.shape} ({skipped.reason})" for skipped in self.report.skipped]
        estimate = [] if self.estimate is None else [self.estimate.sentence]
        return "\n".join([*lines, *estimate, self.verdict])

    @property
    def verdict(self) -> str:
        """One plain sentence: the network, or why there is none yet."""
        if self.problem is not None:
            return f"No network can be read yet: {self.problem}."
        sizes = [str(layer.size) for layer in self.layers]
        shown = "-".join(sizes if len(sizes) <= 12 else [*sizes[:5], "…", *sizes[-5:]])
        edges, note = f"{self.n_edges:,}", ""
        if self.sampled:
            edges, note = f"about {self.n_edges:.3g}", ", from a sample"
        side = "" if self.orientation is None else f" with orientation {self.orientation!r}"
        return (
            f"A network of {len(self.layers)} layers ({shown}) with {self.n_nodes:,} nodes and {edges} "
            f"edges (density {self.density:.1%}{note}), stored as {self.dtype}{side}."
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
            "n_stored": self.n_stored,
            "density": self.density,
        }


def inspect_file(
    path: str | os.PathLike[str],
    *,
    orientation: OrientationChoice = "auto",
    order: Sequence[str] | None = None,
    architecture: str | os.PathLike[str] | Network | None = None,
    limits: LoadLimits | None = None,
    n_heads: int | None = None,
    n_kv_heads: int | None = None,
    norm: Literal["l1", "l2", "operator-1"] = "l1",
    input_layer: bool = True,
    dense_head: bool = True,
    residual: Literal["shared", "per-layer"] = "shared",
    attention: Literal["dimensions", "heads"] = "dimensions",
    normalisation: Literal["fold", "skip"] = "fold",
) -> FileInspection:
    """Look into a file: what would be read, what skipped, what graph that makes, what a test of it would take.

    Weights are only counted: all of them up to 50 million in a file, a sample beyond. Shapes that make no network, or
    chain both ways, are reported in `problem` instead of raised; parameters and other errors are those of
    :func:`~netspectra.bindings.readers.load`.

    Returns
    -------
    FileInspection

    Raises
    ------
    FileFormatError, LimitError
        As ``load``.
    GraphError
        If a parameter is not what it may be, or `order` names what is not there.
    """
    choices = GraphChoices(norm, input_layer, dense_head, residual, attention, normalisation)
    reading = Reading(orientation, order, architecture, n_heads, n_kv_heads, heads_matter=attention == "heads")
    with open_network(path, reading, as_limits(limits)) as found:
        plan, problem = _plan(found, choices)
        weights = [found.weights[record.name] for record in found.report.taken]
        counts, sampled = count_weights(weights)
        report = found.report if plan is None else with_more_skipped(found.report, plan.skipped)
        records = () if plan is None else block_records(plan, dict(_named(found, counts)), sampled=sampled)
        stored = [np.dtype(np.float64) if w.dtype.kind in "biu" else w.dtype for w in weights]
        return FileInspection(
            format=found.format,
            report=report,
            n_nonzero=tuple(count.nonzero for count in counts),
            n_bytes=sum(math.prod(weight.shape) * weight.dtype.itemsize for weight in weights),
            dtype=widest_dtype(stored).name if stored else "float32",
            orientation=_orientation(found.network),
            layers=() if plan is None else plan.layers,
            problem=problem or _unusable(found.report, counts),
            metadata=dict(found.metadata),
            blocks=records,
            sampled=sampled,
            estimate=None if plan is None else estimate_test(plan),
        )


def _plan(found: Found, choices: GraphChoices) -> tuple[GraphPlan | None, str | None]:
    """The graph's plan, or why there is none."""
    if found.network is None:
        return None, str(found.problem)
    try:
        return plan_graph(found.network, **vars(choices)), None
    except GraphError as error:
        return None, str(error)


def _named(found: Found, counts: Sequence[Count]) -> "list[tuple[str, Count]]":
    return [(record.name, count) for record, count in zip(found.report.taken, counts, strict=True)]


def _orientation(network: Network | None) -> Orientation | None:
    """Of all matrices and kernels of a network, None where they differ."""
    if network is None:
        return None
    layouts = {"oihw": "out-in", "iohw": "out-in", "hwio": "in-out", "hwoi": "in-out"}
    sides: set[Any] = {
        operation.options.get("orientation") or layouts[operation.options["layout"]]
        for operation in network.operations
        if operation.weights and ("orientation" in operation.options or "layout" in operation.options)
    }
    return sides.pop() if len(sides) == 1 else None


def _unusable(report: LoadReport, counts: Sequence[Count]) -> str | None:
    """Why a test would refuse what can be read: values that are not finite, a matrix of zeros."""
    for record, count in zip(report.taken, counts, strict=True):
        if count.not_finite:
            return f"{record.name}: {count.not_finite:,} NaN or infinite value(s)"
        if count.nonzero == 0 and len(record.shape) > 1 and count.seen == math.prod(record.shape):
            return f"{record.name}: all weights are zero, which cuts the network apart"
    return None
