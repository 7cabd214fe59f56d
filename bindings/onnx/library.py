"""The one door to the package `onnx`."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from netspectra.errors import BackendUnavailableError

__all__ = ["require_onnx"]


def require_onnx() -> Any:
    """Import `onnx`.

    Raises
    ------
    BackendUnavailableError
        If it is not installed, or is but cannot be imported.
    """
    install = 'pip install "netspectra[onnx]"'
    if find_spec("onnx") is None:
        msg = f"netspectra.bindings.onnx needs the package onnx, which is not installed: {install}"
        raise BackendUnavailableError(msg)
    try:
        return import_module("onnx")
    except (ImportError, RuntimeError) as error:  # its own protobuf is missing, or another release than it wants
        msg = f"netspectra.bindings.onnx: onnx is installed but cannot be imported ({error}): {install} --upgrade"
        raise BackendUnavailableError(msg) from error
