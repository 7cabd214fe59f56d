"""Measurements as tables: one row per question and peer, for the terminal and for Markdown alike."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from netspectra.bindings.bench.records import OURS, Goal, Measurement, Record
from netspectra.bindings.bench.timing import spread_of

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "COLUMNS",
    "as_figures",
    "as_time",
    "comparison_rows",
    "comparison_table",
    "floor_rows",
    "goal_rows",
    "losses",
    "markdown",
    "series_lines",
]

COLUMNS = ("question", "netspectra", "peer", "its time", "ratio", "at")
_SHOWN = {
    "iterations": "{:g} iterations",
    "residual": "residual {:.0e}",
    "ks_p": "KS p {:.2f}",
    "inertia_difference": "inertia {:+.2%}",
    "ari": "ARI {:.3f}",
    "gradient_error": "error {:.0e}",
}


def comparison_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Cells of :data:`COLUMNS`: every peer beside ours, ours alone where it has none; series over an axis left out.

    A ratio above 1 says that netspectra is faster; there is none where the peer did not reach our residual.
    """
    rows: list[tuple[str, ...]] = []
    for question, sides in _by_question(measurements).items():
        ours = sides.get(OURS)
        mine = "-" if ours is None else _with_spread(ours)
        reached = "" if ours is None else as_figures(ours.figures)
        peers = [each for side, each in sides.items() if side != OURS]
        if not peers:
            rows.append((question, mine, "", "", "", reached))
        for peer in peers:
            more = "" if peer.finished else "> "
            answered = peer.solved or not peer.finished
            ratio = "-" if ours is None else f"{more}{peer.by(ours):.1f}" if answered else "not solved"
            theirs = as_figures(peer.figures)
            at = "; ".join(filter(None, (reached, f"peer: {theirs}" if theirs else "")))
            rows.append((question, mine, peer.side, f"{more}{_with_spread(peer)}", ratio, at))
    return rows


def losses(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Question, peer and ratio, wherever a peer that finished, at our residual, was faster."""
    found: list[tuple[str, ...]] = []
    for question, sides in _by_question(measurements).items():
        ours = sides.get(OURS)
        for side, peer in sides.items():
            if ours is not None and side != OURS and peer.solved and peer.by(ours) < 1:
                found.append((question, side, f"{peer.by(ours):.2f}"))
    return found


def floor_rows(measurements: Iterable[Measurement]) -> list[tuple[str, ...]]:
    """Stage, measured, floor, and how many times the floor that is, wherever a floor was counted."""
    return [
        (
            each.question,
            _with_spread(each),
            as_time(each.figures["floor"]),
            f"{each.median / each.figures['floor']:.1f}",
        )
        for each in measurements
        if each.side == OURS and "floor" in each.figures
    ]


def goal_rows(goals: Iterable[Goal]) -> list[tuple[str, ...]]:
    """Goal, what was measured, what was asked for, and whether that is met."""
    return [
        (
            goal.name,
            f"{goal.value:.3g}{goal.unit}",
            f"{'at least' if goal.at_least else 'at most'} {goal.bound:.3g}{goal.unit}",
            "met" if goal.met else "**missed**",
        )
        for goal in goals
    ]


def comparison_table(record: Record) -> "Table":
    """Return :func:`comparison_rows` as a Rich table."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="right" if name in ("netspectra", "its time", "ratio") else "left")
    for row in comparison_rows(record.measurements):
        table.add_row(*row)
    return table


def series_lines(measurements: Iterable[Measurement]) -> list[str]:
    """One line per series over an axis: its points, and the exponent of the line through them."""
    from netspectra.bindings.bench.growth import exponent, series_of

    lines = []
    for (question, _), points in series_of(measurements).items():
        axis = points[0].axis or ""
        told = ", ".join(f"{point.parameters[axis]:,}: {as_time(point.median)}" for point in points)
        lines.append(f"{question}: {told}; exponent {exponent(points):.2f}")
    return lines


def markdown(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table; bars in cells are escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def as_time(seconds: float) -> str:
    """Seconds with three digits, in the unit that suits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            value = seconds * scale
            return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    return ""


def as_figures(figures: dict[str, Any]) -> str:
    """Work and accuracy in words; what nobody reads in a table is left to the JSON."""
    known = {name: figures[name] for name in _SHOWN if figures.get(name) is not None}
    if known.get("iterations") == 0:  # a dense solver makes none
        del known["iterations"]
    return ", ".join(_SHOWN[name].format(value) for name, value in known.items() if math.isfinite(value))


def _by_question(measurements: Iterable[Measurement]) -> dict[str, dict[str, Measurement]]:
    found: dict[str, dict[str, Measurement]] = {}
    for each in measurements:
        if each.axis is None:
            found.setdefault(each.question, {})[each.side] = each
    return found


def _with_spread(each: Measurement) -> str:
    """Median, and half the distance of the quartiles where there are several laps."""
    if len(each.seconds) < 2:
        return as_time(each.median)
    low, high = spread_of(each.seconds)
    return f"{as_time(each.median)} ± {(high - low) / 2 / each.median:.0%}"
