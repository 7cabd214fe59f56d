"""The command line: ``netspectra test FILE``, ``netspectra inspect FILE``, ``netspectra demo``."""

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0, 2 for bad input (one line on standard error), 130 on Ctrl-C.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Raises
    ------
    SystemExit
        Always.
    """
    try:
        import warnings

        from netspectra.bindings.cli.app import app

        warnings.formatwarning = _one_line
        app(args=arguments, prog_name="netspectra")
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(message: Warning | str, *_: object, **__: object) -> str:
    """Show a warning to someone at a terminal, who has no use for the line of code that it came from."""
    return f"netspectra: warning: {message}\n"
