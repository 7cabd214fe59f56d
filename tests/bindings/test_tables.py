"""Results as tables: the numbers are there, and what a file calls things is not obeyed."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

from rich.console import Console

from netspectra.bindings.tables import layer_table, result_table


def drawn(table: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_result_shows_its_numbers_and_how_far_to_trust_them(result: SimpleNamespace) -> None:
    text = drawn(result_table(result))
    for part in ("3.5000", "4.0000 ± 0.1000", "-5.00", "0.25", "interval 0.006 to 0.8", "3.0000", "14.3%", "proved"):
        assert part in text
    assert "3 of 4" in text
    assert "1 failed" in text
    assert "2.50 s" in next(line for line in text.splitlines() if "compilation" in line)


def test_a_result_without_nulls_or_seeds_can_be_shown(result: SimpleNamespace) -> None:
    result.n_nulls = result.n_failed = 0
    result.p_value = result.seed_sensitivity = None
    result.timings = {"total": 0.5}
    text = drawn(result_table(result))
    assert "p-value" not in text
    assert "compilation" not in text


def test_a_sequential_test_says_how_many_nulls_it_took(result: SimpleNamespace) -> None:
    assert "at most" not in drawn(result_table(result))
    result.stop, result.max_nulls, result.stopping = "sequential", 1000, "stopped as p is above 0.05"
    line = next(line for line in drawn(result_table(result)).splitlines() if "at most" in line)
    assert " ".join(line.split()) == "drawn 4 null networks of at most 1,000: stopped as p is above 0.05"


def test_a_seed_sensitive_verdict_says_so(result: SimpleNamespace) -> None:
    result.seed_sensitivity.sensitive = True
    assert "depends on the seed" in drawn(result_table(result))


def test_twelve_clusters_fit_a_terminal(result: SimpleNamespace) -> None:
    row = {"layer": "layers.0", "size": 784, "isolated": 123, "counts": [100] * 12}
    result.partition.by_layer = lambda: [row]
    line = next(line for line in drawn(layer_table(result.partition)).splitlines() if "layers.0" in line)
    assert len(line.rstrip()) < 80
    assert line.split() == ["layers.0", "784", *["100"] * 12, "123"]


def test_layer_names_are_shown_not_obeyed(result: SimpleNamespace) -> None:
    text = drawn(layer_table(result.partition))
    assert "[bold]fc\\x1b[31m" in text
    assert "\x1b" not in text
