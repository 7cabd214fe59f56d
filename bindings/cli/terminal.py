"""Where the commands write: one console, on standard output or beside the JSON on standard error."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["open_console", "ready_backend", "show", "show_result"]

_WIDTH_OF_A_FILE = 120


def open_console(*, on_stderr: bool = False) -> "Console":
    """Return a console; where nothing tells its width (a pipe, a file), lines are long rather than folded."""
    from rich.console import Console

    console = Console(stderr=on_stderr)
    return console if console.is_terminal else Console(stderr=on_stderr, width=_WIDTH_OF_A_FILE)


def ready_backend(name: str) -> Any:
    """Return a backend, with a word on the terminal while its kernels are compiled or loaded."""
    from netspectra.kernels import get_backend

    with open_console(on_stderr=True).status("getting the kernels ready (they are compiled once per machine)"):
        return get_backend(name)


def show(console: "Console", *items: Any) -> None:
    """Show tables and plain text: what a file is called is not markup, and text is folded by the terminal alone."""
    from rich.table import Table

    for item in items:
        console.print(item, markup=False, highlight=False, soft_wrap=not isinstance(item, Table))


def show_result(console: "Console", name: str, result: Any) -> None:
    """Show a clusterability test: its numbers, the clusters by layer, the sentence of verdict."""
    from netspectra.bindings.tables import layer_table, result_table

    show(console, result_table(result, title=name), layer_table(result.partition), str(result.verdict))
