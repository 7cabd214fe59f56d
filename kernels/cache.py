"""Where compiled kernels are kept between processes: the user's cache folder, or the one in ``NETSPECTRA_CACHE``."""

import os
import sys
import tempfile
from pathlib import Path

__all__ = ["writable_folder"]


def writable_folder(name: str) -> Path | None:
    """Folder `name` of the cache, created; None where nothing can be written."""
    for base in _candidate_folders():
        folder = base / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                return folder
        except OSError:
            continue
    return None


def _candidate_folders() -> list[Path]:
    chosen = os.environ.get("NETSPECTRA_CACHE")
    if chosen:
        return [Path(chosen)]
    try:
        home = Path.home()
    except RuntimeError:
        return []
    if sys.platform == "darwin":
        return [home / "Library" / "Caches" / "netspectra"]
    if sys.platform == "win32":
        return [Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "netspectra" / "cache"]
    return [Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "netspectra"]
