"""The Typer application: which commands there are. Each lives in a module of its own and imports the engine late."""

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from netspectra.bindings.cli.bench import run_bench
from netspectra.bindings.cli.clusterability import run_test
from netspectra.bindings.cli.demo import run_demo
from netspectra.bindings.cli.inspection import run_inspect

__all__ = ["app"]

app = typer.Typer(
    name="netspectra",
    help="How modular is a trained network, where are its modules, and is that more than chance?",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # usage errors are plain lines, not boxes
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("test")(run_test)
app.command("inspect")(run_inspect)
app.command("demo")(run_demo)
app.command("bench")(run_bench)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            number = version("netspectra")
        except PackageNotFoundError:
            number = "unknown"
        typer.echo(f"netspectra {number}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """How modular is a trained network, where are its modules, and is that more than chance?"""
