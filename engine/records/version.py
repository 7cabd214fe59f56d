"""The installed version, as results record it."""

from functools import cache
from importlib import metadata

__all__ = ["installed_version"]


@cache
def installed_version() -> str:
    """Version of the netspectra distribution, ``"unknown"`` when run from a bare folder."""
    try:
        return metadata.version("netspectra")
    except metadata.PackageNotFoundError:
        return "unknown"
