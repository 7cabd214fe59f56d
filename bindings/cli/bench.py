"""``netspectra bench``: this machine measured beside the peers that are installed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netspectra.bindings.cli.failures import one_line_errors

if TYPE_CHECKING:
    from netspectra.bindings.bench.suites import Run

__all__ = ["run_bench"]

BUSY = 0.3
"""Load average per core from which on somebody else is at work."""


def run_bench(
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Small problems, under 20 seconds.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="OUT.json", help="Write all figures as JSON.")] = None,
) -> None:
    """Measure speed on this machine beside scikit-learn and SciPy, in about a minute and a half."""
    with one_line_errors():
        from netspectra.bindings.bench.contests import missing_peers
        from netspectra.bindings.bench.machine import describe_machine
        from netspectra.bindings.bench.records import Record
        from netspectra.bindings.bench.selection import select, steps_of
        from netspectra.bindings.bench.suites import Run
        from netspectra.bindings.cli.files import require_writable
        from netspectra.bindings.cli.terminal import ready_backend

        require_writable(json)
        record = Record(describe_machine(), {"quick": quick}, missing=missing_peers())
        ready_backend("cpu")
        run = Run(record, lambda _: None, json)
        try:
            _with_progress(run, steps_of(run, select(quick=quick)))
            run.finish()
        finally:
            if record.complete or record.measurements:
                _show(record, json)
    if record.failures:
        raise typer.Exit(1)


def _with_progress(run: "Run", steps: list[tuple[str, Any]]) -> None:
    """Run all steps under a bar on standard error that says what is being measured."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from netspectra.bindings.cli.terminal import open_console

    columns = (BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=open_console(on_stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(steps))
        run.say = lambda what: progress.update(task, description=what)
        for name, step in steps:
            run.attempt(name, step)
            progress.advance(task)


def _show(record: Any, json: Path | None) -> None:
    from netspectra.bindings.bench.tables import comparison_table, series_lines
    from netspectra.bindings.cli.terminal import open_console, show

    m, console = record.machine, open_console()
    show(console, f"netspectra {m['netspectra']} on {m['cores']} cores, {m['processor']}; load {m['load']} before.")
    if m["load"] is not None and m["load"] > BUSY * m["cores"]:
        show(console, "Other processes are at work: these figures mean little, the peers' least of all.")
    if not record.complete:
        show(console, "Interrupted: this is what was measured until then.")
    show(console, comparison_table(record), *series_lines(record.measurements))
    for name, install in record.missing.items():
        show(console, f"Not installed, so not asked: {name}. {install}")
    for failure in record.failures:
        show(console, f"CHECK FAILED, so its time is not reported: {failure}")
    if json is not None:
        show(console, f"All figures: {json}")
