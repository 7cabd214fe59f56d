"""Series over an axis as log-log plots with the lines through them, by matplotlib, in SVG that is always the same."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from netspectra.bindings.bench.growth import exponent
from netspectra.bindings.bench.records import Measurement

__all__ = ["draw_series"]

_LABELS = {"nulls": "null networks", "edges": "edges", "nodes": "nodes", "k": "clusters k", "threads": "threads"}


def draw_series(points: Sequence[Measurement], folder: Path) -> Path:
    """Draw seconds (median, all laps) over the axis, both logarithmic, and the least-squares line; return the file.

    Parameters
    ----------
    points : sequence of Measurement
        One series, see :func:`netspectra.bindings.bench.growth.series_of`.
    folder : Path
        Where the SVG goes, named after the question.

    Raises
    ------
    ModuleNotFoundError
        Without matplotlib, the extra ``bench``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import ScalarFormatter

    axis = points[0].axis or ""
    sizes = np.array([each.parameters[axis] for each in points], float)
    seconds = np.array([each.median - each.figures.get("start_up", 0.0) for each in points])
    with mpl.rc_context({"svg.hashsalt": "netspectra", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(4.2, 3.1), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots()
        for each, size in zip(points, sizes, strict=True):
            laps = np.array(each.seconds) - each.figures.get("start_up", 0.0)
            axes.plot(np.full(laps.size, size), laps, "_", color="0.6", markersize=5)
        axes.plot(sizes, seconds, "o", color="#1f77b4", markersize=4)
        slope = exponent(points)
        if np.isfinite(slope):
            level = np.mean(np.log(seconds)) - slope * np.mean(np.log(sizes))
            axes.plot(
                sizes, np.exp(level) * sizes**slope, "-", color="#1f77b4", linewidth=1, label=f"slope {slope:.2f}"
            )
            axes.legend(frameon=False)
        axes.set(xscale="log", yscale="log", xlabel=_LABELS.get(axis, axis), ylabel="seconds")
        for side, values in ((axes.xaxis, sizes), (axes.yaxis, seconds)):
            if values.max() < 10 * values.min():  # powers of ten alone would leave an axis without a number to read
                side.set_major_formatter(ScalarFormatter())
                side.set_minor_formatter(ScalarFormatter())
        axes.set_title(points[0].question, fontsize=8, wrap=True)
        axes.grid(visible=True, which="major", color="0.9", linewidth=0.5)
        path = folder / f"{_file_name(points[0])}.svg"
        figure.savefig(path, format="svg", metadata={"Date": None})
    return path


def _file_name(point: Measurement) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{point.axis} {point.question}".lower()).strip("-")[:80].rstrip("-")
