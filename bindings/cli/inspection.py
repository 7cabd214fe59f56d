"""``netspectra inspect FILE``: what would be read from a file, what skipped and why, and what network that makes."""

import sys
from typing import Annotated, Any

import typer

from netspectra.bindings.cli.failures import one_line_errors

__all__ = ["run_inspect"]


def run_inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A .safetensors or .npz file.", show_default=False)],
    *,
    orientation: Annotated[str, typer.Option(help="How matrices are stored: auto, in-out or out-in.")] = "auto",
    order: Annotated[str | None, typer.Option(help="Tensors to read, input side first, with commas between.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON on standard output instead of tables.")] = False,
) -> None:
    """Show what a file holds, without computing anything from it."""
    with one_line_errors():
        from netspectra.bindings.cli.files import as_json, network_path
        from netspectra.bindings.readers.inspection import inspect_file

        names = None if order is None else [name.strip() for name in order.split(",")]
        reading: dict[str, Any] = {"orientation": orientation, "order": names}
        found = inspect_file(network_path(file), **reading)
        if json:
            sys.stdout.write(as_json(found.to_dict()))
            raise typer.Exit(_exit_code(found))

        from netspectra.bindings.cli.terminal import open_console, show
        from netspectra.bindings.tables import inspection_table, printable, skipped_table

        console = open_console()
        show(console, inspection_table(found))
        if found.report.skipped:
            show(console, skipped_table(found))
        if found.metadata:
            show(console, *(printable(f"{key}: {value}") for key, value in sorted(found.metadata.items())), "")
        show(console, printable(found.verdict))
        raise typer.Exit(_exit_code(found))


def _exit_code(found: Any) -> int:
    """2 where no network can be read, so that scripts notice."""
    return 0 if found.problem is None else 2
