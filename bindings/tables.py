"""Results as Rich tables, for the terminal and for notebooks. Numbers come as the engine gives them."""

import math
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from netspectra.bindings.readers import FileInspection

__all__ = ["block_table", "inspection_table", "layer_table", "printable", "result_table", "skipped_table"]


def result_table(result: Any, title: str | None = None) -> Table:
    """Return the numbers of a clusterability test, one per row, with how far each can be trusted.

    Parameters
    ----------
    result : ClusterabilityResult
    title : str, optional
    """
    table = _table(title, ("", "left"), ("value", "right"), ("", "left"))
    for label, value, remark in (*_statistics(result), *_computation(result), *_times(result.timings)):
        table.add_row(label, value, remark)
    return table


def layer_table(partition: Any, title: str = "neurons of each cluster, by layer") -> Table:
    """Return how many neurons of each layer are in each cluster.

    Parameters
    ----------
    partition : Partition
    title : str
    """
    rows = partition.by_layer()
    n_clusters = len(rows[0]["counts"]) if rows else 0
    numbers = [(str(cluster), "right") for cluster in range(n_clusters)]
    table = _table(title, ("layer", "left"), ("size", "right"), *numbers, ("isolated", "right"))
    table.padding = (0, 0, 0, 0)  # twelve clusters fit into 80 columns
    for row in rows:
        counts = (str(count) if count else "." for count in row["counts"])
        table.add_row(printable(row["layer"]), f"{row['size']:,}", *counts, str(row["isolated"] or "."))
    return table


def inspection_table(inspection: "FileInspection") -> Table:
    """Return the tensors that would be read, in the order of the operations that use them."""
    about = "about " if inspection.sampled else ""
    table = _table(None, ("tensor", "left"), ("shape", "right"), ("dtype", "left"), (f"{about}non-zero", "right"))
    for record, count in zip(inspection.report.taken, inspection.n_nonzero, strict=True):
        table.add_row(printable(record.name), _shape(record.shape), record.dtype, _told(count, inspection))
    return table


def block_table(inspection: "FileInspection") -> Table:
    """Return the layers of the graph, each with its kind and size, and the blocks that come into it."""
    about = "about " if inspection.sampled else ""
    columns = ("layer", "left"), ("kind", "left"), ("size", "right"), ("from", "left"), (f"{about}edges", "right")
    table = _table(None, *columns, ("density", "right"), ("", "left"))
    for layer in inspection.layers:
        row = (printable(layer.name), printable(layer.kind), f"{layer.size:,}")
        blocks = [block for block in inspection.blocks if block.target == layer.name]
        for block in blocks:
            mark = "" if block.learned else "not learned"
            density = f"{block.n_edges / max(1, block.n_stored):.1%}"
            table.add_row(*row, printable(block.source), _told(block.n_edges, inspection), density, mark)
            row = (Text(), Text(), "")
        if not blocks:
            table.add_row(*row)
    return table


def skipped_table(inspection: "FileInspection") -> Table:
    """Return the tensors that would not be read, with the reasons."""
    table = _table(None, ("skipped", "left"), ("shape", "right"), ("why", "left"))
    for skipped in inspection.report.skipped:
        table.add_row(printable(skipped.name), _shape(skipped.shape), printable(skipped.reason))
    return table


def printable(text: str) -> Text:
    """Return text from a file as it may be shown: no Rich markup in it, and no control characters for the terminal."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def _statistics(result: Any) -> list[tuple[str, str, str]]:
    partition, nulls = result.partition, f"over {result.n_nulls - result.n_failed:,} {result.null} null networks"
    bound = f"no partition is below it ({partition.bound_status}); relative gap {partition.relative_gap:.1%}"
    rows = [
        ("n-cut", f"{result.ncut:.4f}", f"{result.n_clusters} clusters"),
        ("lower bound", f"{partition.ncut_lower_bound:.4f}", bound),
    ]
    if result.n_nulls > result.n_failed:
        rows.append(("null n-cut", f"{_number(result.null_mean, 4)} ± {_number(result.null_sd, 4)}", nulls))
        rows.append(
            ("z-score", _number(result.z_score, 2), f"Cohen's d over k-means seeds {_number(result.cohens_d, 2)}")
        )
    if result.p_value is not None:
        low, high = result.p_interval
        rows.append(("p-value", f"{result.p_value:.4g}", f"95% Monte-Carlo interval {low:.2g} to {high:.2g}"))
    sensitivity = result.seed_sensitivity
    if sensitivity is not None:
        low, high = sensitivity.ncut_range
        verdict = ": the verdict depends on the seed" if sensitivity.sensitive else ": same verdict"
        told = "" if result.p_value is None else verdict
        rows.append(("seeds", f"{low:.4f} to {high:.4f}", f"n-cut over {sensitivity.n_seeds} further seeds{told}"))
    return rows


def _computation(result: Any) -> list[tuple[str, str, str]]:
    solved = result.n_nulls - result.n_failed
    observed = "network converged" if result.partition.converged else f"network: {result.partition.status}"
    solver, threads, plan = f"{result.solver} solver in {result.dtype}", _count(result.n_threads, "thread"), result.plan
    rows = [
        ("solved", f"{solved:,} of {result.n_nulls:,}", f"null networks, {result.n_failed} failed; {observed}"),
        *_stopping(result),
        ("backend", result.backend, f"{threads} on {result.device}, {solver}, seed {result.seed}"),
        ("memory", f"{plan.bytes_per_replicate / 1e6:.1f} MB", f"per null network, {plan.batch_size} in a batch"),
    ]
    if result.n_isolated:
        rows.append(("isolated", f"{result.n_isolated:,}", "neurons without edges, in no cluster"))
    return rows


def _stopping(result: Any) -> list[tuple[str, str, str]]:
    if result.stop == "fixed":
        return []
    return [("drawn", f"{result.n_nulls:,}", f"null networks of at most {result.max_nulls:,}: {result.stopping}")]


def _times(timings: dict[str, float]) -> list[tuple[str, str, str]]:
    """Compilation stands apart: it is paid once per machine, whatever the size of the run."""
    compiling = timings.get("compile", 0.0)
    parts = (f"{part} {timings[part]:.2f}" for part in ("prepare", "observed", "nulls", "seeds") if part in timings)
    rows = [("time", f"{timings.get('total', 0.0):.2f} s", ", ".join(parts))]
    if compiling > 0:
        rows.append(
            ("compilation", f"{compiling:.2f} s", "of kernels, or loading them once compiled; not in the time above")
        )
    return rows


def _told(count: int, inspection: "FileInspection") -> str:
    """A number in full where it was counted, in three digits where it comes from a sample."""
    return f"{count:.3g}" if inspection.sampled else f"{count:,}"


def _number(value: float, digits: int) -> str:
    """A number, or a dash where it is not defined (a single null network has no spread)."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "-"


def _table(title: str | None, *columns: tuple[str, Any]) -> Table:
    table = Table(
        title=None if title is None else printable(title), title_justify="left", box=SIMPLE_HEAD, pad_edge=False
    )
    for heading, justify in columns:
        table.add_column(heading, justify=justify, overflow="fold")
    return table
