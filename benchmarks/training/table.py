"""Tests each trained network against its null networks, and sets the results out: a Rich table, and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import netspectra as ns

__all__ = ["Measured", "as_markdown", "measure", "print_table"]

N_CLUSTERS = 12
MIN_WIDTH = 160
"""Of the printed table: a log file or a narrow terminal gets whole figures on long lines, not halves of them."""
COLUMNS = ("accuracy, %", "n-cut", "n-cut, lit pixels", "nulls' mean", "nulls' sd", "z", "p")


@dataclass(frozen=True)
class Measured:
    """One trained network; `lit_ncut` is the n-cut of its graph without the pixels that are hardly ever lit."""

    arm: str
    seed: int
    accuracy: float
    ncut: float
    lit_ncut: float
    null_mean: float
    null_sd: float
    z_score: float
    p_value: float

    def cells(self) -> list[str]:
        """The columns, as text."""
        figures = (self.ncut, self.lit_ncut, self.null_mean, self.null_sd)
        return [f"{100 * self.accuracy:.2f}", *(f"{x:.3f}" for x in figures), _signed(self.z_score), _p(self.p_value)]

    def line(self) -> str:
        """One line for whoever waits."""
        named = ", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, self.cells(), strict=True))
        return f"{self.arm}, seed {self.seed}: {named}"


def measure(
    arm: str,
    seed: int,
    accuracy: float,
    weights: Sequence[NDArray[np.float32]],
    lit: NDArray[np.int32],
    n_nulls: int,
) -> Measured:
    """Test a trained network, weights (n_in, n_out) per layer, against `n_nulls` shuffles of its own weights."""
    graph = ns.LayerGraph.from_weights(list(weights), orientation="in-out")
    result = ns.clusterability_test(graph, n_clusters=N_CLUSTERS, n_nulls=n_nulls, seed=0, progress=False)
    lit_graph = ns.LayerGraph.from_weights([weights[0][lit], *weights[1:]], orientation="in-out")
    nulls = np.asarray(result.null_ncuts)
    return Measured(
        arm=arm,
        seed=seed,
        accuracy=accuracy,
        ncut=float(result.ncut),
        lit_ncut=float(ns.spectral_clustering(lit_graph, N_CLUSTERS, seed=0).ncut),
        null_mean=float(np.nanmean(nulls)),
        null_sd=float(np.nanstd(nulls, ddof=1)),
        z_score=float(result.z_score),
        p_value=float(result.p_value),
    )


def print_table(title: str, rows: Sequence[Measured]) -> None:
    """Print the arms, each averaged over its seeds."""
    table = Table(title=title)
    table.add_column("arm", no_wrap=True)
    for name in COLUMNS:
        table.add_column(name, justify="right")
    for arm in dict.fromkeys(row.arm for row in rows):
        table.add_row(arm, *_averaged([row for row in rows if row.arm == arm]))
    Console(width=max(Console().width, MIN_WIDTH)).print(table)


def as_markdown(title: str, rows: Sequence[Measured]) -> str:
    """Two tables: the arms averaged over seeds (mean +- standard deviation), then every network."""
    arms = dict.fromkeys(row.arm for row in rows)
    averaged = [[arm, *_averaged([row for row in rows if row.arm == arm])] for arm in arms]
    single = [[row.arm, str(row.seed), *row.cells()] for row in rows]
    return "\n".join(
        [
            f"**{title}**",
            "",
            *_markdown_rows(["arm", *COLUMNS], averaged, n_text=1),
            "",
            "Every network:",
            "",
            *_markdown_rows(["arm", "seed", *COLUMNS], single, n_text=1),
            "",
        ]
    )


def _averaged(rows: Sequence[Measured]) -> list[str]:
    """Columns of an arm: mean +- sd over seeds of what is the network's own, means of the nulls', ranges of z and p."""
    z, p = [row.z_score for row in rows], [row.p_value for row in rows]
    return [
        _spread([100 * row.accuracy for row in rows], 2),
        _spread([row.ncut for row in rows], 3),
        _spread([row.lit_ncut for row in rows], 3),
        f"{mean(row.null_mean for row in rows):.3f}",
        f"{mean(row.null_sd for row in rows):.3f}",
        _range(_signed(min(z)), _signed(max(z))),
        _range(_p(min(p)), _p(max(p))),
    ]


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{mean(values):.{digits}f}"
    return f"{middle} ± {stdev(values):.{digits}f}" if len(values) > 1 else middle


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")


def _p(value: float) -> str:
    return f"{value:.3f}"


def _markdown_rows(header: list[str], rows: list[list[str]], n_text: int) -> list[str]:
    rule = ["---"] * n_text + ["---:"] * (len(header) - n_text)
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]
