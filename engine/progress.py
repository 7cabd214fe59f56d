"""Progress of long runs: the engine only ever calls ``callable(done, total, seconds)``; drawing is somebody else's.

The façade registers who draws when the caller passes None or a bool, so that the engine never names a binding.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

from netspectra.errors import GraphError

__all__ = ["ProgressCallback", "ProgressSetting", "progress_for", "set_drawer"]

ProgressCallback: TypeAlias = Callable[[int, int, float], None]
ProgressSetting: TypeAlias = bool | ProgressCallback | None
Drawer: TypeAlias = Callable[[bool | None], AbstractContextManager[ProgressCallback | None]]

_drawer: Drawer | None = None


def set_drawer(drawer: Drawer | None) -> None:
    """Register what turns None (draw if somebody is looking) or True into a callback, for the length of a run."""
    global _drawer  # noqa: PLW0603
    _drawer = drawer


def progress_for(setting: Any) -> AbstractContextManager[ProgressCallback | None]:
    """Context whose value is the callback to use, or None.

    Raises
    ------
    GraphError
        If `setting` is neither None, a bool, nor callable.
    """
    if setting is False:
        return nullcontext(None)
    if setting is None or setting is True:
        return nullcontext(None) if _drawer is None else _drawer(setting)
    if not callable(setting):
        msg = f"progress must be None, a bool or a callable (done, total, seconds), got {type(setting).__name__}"
        raise GraphError(msg)
    return nullcontext(setting)
