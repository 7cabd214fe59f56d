"""The pickle inside a `.pt` archive, looked at before anyone runs it: opcodes are read, none is carried out.

A state dict needs a dozen globals. Whatever names another one is no state dict, and the message says what it is; so a
whole pickled module is told from a checkpoint with other things in it, and code from either.
"""

import pickletools
from collections.abc import Iterator

__all__ = ["LONGEST_PICKLE", "foreign_globals"]

LONGEST_PICKLE = 16 << 20
"""Bytes of a pickle that is looked at: about 150 for each tensor, or 100,000 tensors."""

_TENSORS = {
    "__builtin__": {"set"},
    "builtins": {"set"},
    "collections": {"Counter", "OrderedDict"},
    "torch": {
        "Size",
        "Tensor",
        "device",
        *(f"{kind}Storage" for kind in ("BFloat16", "Bool", "Byte", "Char", "Double", "Float", "Half")),
        *(f"{kind}Storage" for kind in ("Int", "Long", "Short", "ComplexDouble", "ComplexFloat")),
        *("bfloat16", "bool", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "complex64", "complex128"),
    },
    "torch._utils": {"_rebuild_parameter", "_rebuild_tensor_v2", "_rebuild_tensor_v3"},
    "torch.storage": {"UntypedStorage"},
    "torch.nn.parameter": {"Parameter"},
    "torch.serialization": {"_get_layout"},
}
"""Globals that tensors, parameters and plain values are made of: a part of what ``weights_only=True`` allows."""


def foreign_globals(content: bytes) -> list[str]:
    """Names that a pickle would import beside those a state dict needs, in order, each once.

    Raises
    ------
    ValueError
        If it is no complete pickle of protocol 2 (what ``torch.save`` writes); the message says what came.
    """
    foreign: dict[str, None] = {}
    for module, name in _globals(content):
        if name not in _TENSORS.get(module, ()):
            foreign[f"{module}.{name}"] = None
    return list(foreign)


def _globals(content: bytes) -> Iterator[tuple[str, str]]:
    stopped = False
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "GLOBAL":
                module, _, name = str(argument).partition(" ")
                yield module, name
            elif opcode.name in ("STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "FRAME"):
                msg = f"a pickle with the opcode {opcode.name}"
                raise ValueError(msg)
            stopped = opcode.name == "STOP"
    except (ValueError, LookupError, OverflowError) as error:
        msg = str(error) or type(error).__name__
        raise ValueError(msg) from error
    if not stopped:
        msg = "a pickle that ends too early"
        raise ValueError(msg)
