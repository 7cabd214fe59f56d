"""What an operation is called: the path of the module it comes from, as far as the exporter left a trace of it.

PyTorch's exporter records module paths with each node (``pkg.torch.onnx.name_scopes``), its older one puts them into
the names of nodes (``/layer1/layer1.0/conv1/Conv``), others name parameters after modules. A parameter's name is the
better one where a rewriter has merged modules, and where a module computes with parameters of parts of its own; it is
the worse one where two modules share a parameter.
"""

import ast
import re
from typing import Any

__all__ = ["module_path", "parameter_path", "weighted_name"]

_SCOPES = "pkg.torch.onnx.name_scopes"
_REWRITTEN = "pkg.onnxscript.rewriter.rule_name"
_ROLE = re.compile(r"[._/](weight|kernel|W|w)(_?[0-9]+)?(_quantized|:0)?$")
_MADE_UP = re.compile(r"onnx::|val_\d|^_|::|^\d+$|^const", re.IGNORECASE)


def module_path(proto: Any, number: int) -> tuple[str, bool]:
    """Name of a node, and whether it is the path of a module.

    Parameters
    ----------
    proto : onnx.NodeProto
    number : int
        Its position in the graph, for a node without any name.
    """
    metadata = {str(entry.key): str(entry.value) for entry in proto.metadata_props}
    scopes = _scopes(metadata.get(_SCOPES, ""))
    if len(scopes) > 1 and scopes[-2] and "Fuse" not in metadata.get(_REWRITTEN, ""):
        return scopes[-2], True
    path = _legacy_path(str(proto.name))
    if path:
        return path, True
    return str(proto.name) or f"{proto.op_type}_{number}", False


def parameter_path(key: str) -> str | None:
    """Path of the module that a parameter's name tells, None where the name is made up."""
    if not key or _MADE_UP.search(key):
        return None
    path = _ROLE.sub("", key)
    return path if path != key else None


def weighted_name(node_name: str, is_path: bool, key: str) -> str:
    """Name of an operation that has a weight.

    Parameters
    ----------
    node_name : str
    is_path : bool
        Whether that is the path of a module.
    key : str
        Name of the parameter.
    """
    parameter = parameter_path(key)
    if parameter is None or (is_path and not parameter.startswith(f"{node_name}.")):
        return node_name
    return parameter


def _scopes(text: str) -> list[str]:
    if not text or len(text) > 10_000:
        return []
    try:
        scopes = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return []
    return scopes if isinstance(scopes, list) and all(isinstance(scope, str) for scope in scopes) else []


def _legacy_path(name: str) -> str:
    """``/layer1/layer1.0/conv1/Conv`` to ``layer1.0.conv1``: a module inside a sequence repeats the sequence's name."""
    if not name.startswith("/"):
        return ""
    path: list[str] = []
    for part in name.split("/")[1:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path[-1] = part
        else:
            path.append(part)
    return ".".join(path)
