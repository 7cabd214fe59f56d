"""``netspectra inspect FILE``: what would be read from a file, what skipped and why, and what network that makes."""

import sys
from typing import Annotated, Any

import typer

from netspectra.bindings.cli import reading
from netspectra.bindings.cli.failures import one_line_errors

__all__ = ["run_inspect"]


def run_inspect(
    file: reading.File,
    *,
    orientation: reading.Side = "auto",
    order: reading.Order = None,
    architecture: reading.Architecture = None,
    n_heads: reading.Heads = None,
    n_kv_heads: reading.KeyHeads = None,
    norm: reading.Norm = "l1",
    input_layer: reading.InputLayer = True,
    dense_head: reading.DenseHead = True,
    residual: reading.Residual = "shared",
    attention: reading.Attention = "dimensions",
    normalisation: reading.Normalisation = "fold",
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of tables.")] = False,
) -> None:
    """Show what a file holds, without computing anything from it."""
    given = locals()
    with one_line_errors():
        from netspectra.bindings.cli.files import as_json, network_path
        from netspectra.bindings.readers.inspection import inspect_file

        asked = reading.asked(given)
        found = inspect_file(network_path(file), **asked)
        if json:
            sys.stdout.write(as_json(found.to_dict()))
            raise typer.Exit(_exit_code(found))

        from netspectra.bindings.cli.terminal import open_console, show
        from netspectra.bindings.tables import block_table, inspection_table, printable, skipped_table

        console = open_console()
        show(console, inspection_table(found))
        if found.blocks:
            show(console, block_table(found))
        if found.report.skipped:
            show(console, skipped_table(found))
        if found.metadata:
            show(console, *(printable(f"{key}: {value}") for key, value in sorted(found.metadata.items())), "")
        if found.estimate is not None:
            show(console, printable(found.estimate.sentence))
        show(console, printable(found.verdict))
        raise typer.Exit(_exit_code(found))


def _exit_code(found: Any) -> int:
    """2 where no network can be read, so that scripts notice."""
    return 0 if found.problem is None else 2
