"""Bad input ends a command with one line on standard error and exit status 2; a bug still shows its traceback."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from netspectra.errors import NetspectraError

__all__ = ["one_line_errors"]


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn what the user can mend into one line and an exit status.

    Raises
    ------
    typer.Exit
        With 2 after a :class:`~netspectra.errors.NetspectraError`, an error of the file system, or want of memory;
        with 130 after Ctrl-C.
    """
    try:
        yield
    except NetspectraError as error:
        raise _exit(str(error)) from error
    except OSError as error:
        if error.errno == errno.EPIPE:  # `| head` has seen enough: Typer ends quietly
            raise
        raise _exit(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
    except MemoryError as error:
        message = f"out of memory ({error}); try a smaller --batch-size or --memory-limit"
        raise _exit(message) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error


def _exit(message: str) -> typer.Exit:
    line = "".join(c if c.isprintable() else " " for c in message)
    sys.stderr.write(f"netspectra: error: {' '.join(line.split())}\n")
    return typer.Exit(2)
