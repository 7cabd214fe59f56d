"""Records of one or several runs as one Markdown page: goals, comparisons, losses, growth with plots, machines."""

import math
from collections.abc import Sequence
from pathlib import Path

from netspectra.bindings.bench.growth import exponent, series_of
from netspectra.bindings.bench.plots import draw_series
from netspectra.bindings.bench.records import Measurement, Record
from netspectra.bindings.bench.tables import COLUMNS, as_time, comparison_rows, floor_rows, goal_rows, losses, markdown

__all__ = ["write_report"]


def write_report(records: Sequence[Record], folder: Path, title: str = "Results on a CPU") -> Path:
    """Write ``README.md`` and the plots it shows into a folder, and return the path of the page.

    Parameters
    ----------
    records : sequence of Record
        Of this package on machines that the page names; where several have an answer to one question, the last counts.
    folder : Path
        Made if need be.
    title : str

    Raises
    ------
    ModuleNotFoundError
        Without matplotlib, if there is anything to plot.
    """
    folder.mkdir(parents=True, exist_ok=True)
    measurements = _latest(records)
    goals = {goal.name: goal for record in records for goal in record.goals}
    parts = [f"# {title}", _note(records)]
    if goals:
        parts += ["## Goals", markdown(("goal", "measured", "asked for", ""), goal_rows(goals.values()))]
    rows = comparison_rows(measurements)
    if rows:
        parts += ["## Beside the peers", _HOW_TO_READ, markdown(COLUMNS, rows)]
        slower = losses(measurements)
        parts += [
            "### Where a peer is faster",
            markdown(("question", "peer", "ratio"), slower) if slower else "Nowhere among these sizes.",
        ]
    floors = floor_rows(measurements)
    if floors:
        parts += ["## Stages beside their floors", _FLOORS, markdown(("stage", "measured", "floor", "times"), floors)]
    parts += _growth(measurements, folder)
    failed = [failure for record in records for failure in record.failures]
    if failed:
        parts += ["## Failed checks", "\n".join(f"- {each}" for each in failed)]
    path = folder / "README.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


_HOW_TO_READ = (
    "Medians, ± half the distance between the quartiles; one lap where there is no ±. The ratio is the peer's time by "
    "ours, taken within a turn where sides took turns; > says that the peer was stopped, *not solved* that it gave up "
    "before its tolerance. *At* is what the answers were checked to be."
)

_FLOORS = (
    "One thread. The floor is what the compulsory bytes take in a copy from the same cache, or the operations in a "
    "GEMM, whichever is longer, both measured in the same run; random numbers and comparisons are not in it."
)


def _latest(records: Sequence[Record]) -> list[Measurement]:
    """The last answer to each question; a question answered anew loses all of its earlier sides and points."""
    found: dict[str, list[Measurement]] = {}
    for record in records:
        fresh: dict[str, list[Measurement]] = {}
        for each in record.measurements:
            fresh.setdefault(each.question, []).append(each)
        found |= fresh
    return [each for answers in found.values() for each in answers]


def _note(records: Sequence[Record]) -> str:
    lines = [
        "Made by `python -m benchmarks.report` from JSON files of runs; nothing here is written by hand.",
        "",
    ]
    lines += [f"- {machine}" for machine in {_machine(record): None for record in records}]
    missing = {name for record in records for name in record.missing}
    lines += [f"- Not installed, so not asked: {name}." for name in sorted(missing)]
    lines += [f"- Interrupted, so not all of it: {_machine(record)}" for record in records if not record.complete]
    return "\n".join(lines)


def _machine(record: Record) -> str:
    m = record.machine
    names = ("netspectra", "numpy", "scipy", "numba", "scikit-learn")
    versions = ", ".join(f"{name} {m[name]}" for name in names if m.get(name))
    return (
        f"{str(m.get('date'))[:10]}, commit {m.get('commit')}: {m.get('cores')} cores, {m.get('processor')}, "
        f"{m.get('free_memory_gb')} GB of free memory, load {m.get('load')} before the run; Python {m.get('python')}, "
        f"{versions}, {', '.join(m.get('blas') or [])}."
    )


def _growth(measurements: Sequence[Measurement], folder: Path) -> list[str]:
    series = series_of(measurements)
    parts = ["## Growth"] if series else []
    for (question, _), points in series.items():
        axis, slope = points[0].axis or "", exponent(points)
        rows = [(f"{point.parameters[axis]:,}", as_time(point.median)) for point in points]
        told = f"Fitted exponent {slope:.3f}." if math.isfinite(slope) else "Too few points for an exponent."
        start_up = points[0].figures.get("start_up")
        if start_up is not None:
            told += f" Start-up of {as_time(start_up)} is subtracted in the fit and the plot."
        picture = draw_series(points, folder)
        parts += [f"### {question}", f"![{question}]({picture.name})", told, markdown((axis, "seconds"), rows)]
    return parts
