"""PyTorch's `.pt`: a state dict in a zip archive, its sizes and its pickle checked before PyTorch loads it.

PyTorch itself unpickles, with ``weights_only=True``, and maps the tensors: they are views of the file. Refused are the
pickles of PyTorch before 1.6, whole modules, TorchScript and exported programs: those can run code, or are code.
"""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netspectra.bindings.readers.limits import LoadLimits
from netspectra.bindings.readers.pytorch_pickle import LONGEST_PICKLE, foreign_globals
from netspectra.bindings.readers.pytorch_tensors import find_state_dict, tensor_of
from netspectra.bindings.readers.tensors import TensorFile
from netspectra.bindings.readers.zip_directory import open_archive
from netspectra.errors import FileFormatError

__all__ = ["SAVE_STATE_DICT", "open_pytorch"]

OLDEST_TORCH = (2, 6)
"""The first release whose ``weights_only`` is not known to let code through (CVE-2025-32434)."""

SAVE_STATE_DICT = (
    "in the program that has the model, write safetensors.torch.save_file(model.state_dict(), 'model.safetensors') or "
    "torch.save(model.state_dict(), 'model.pt')"
)


def open_pytorch(path: Path, limits: LoadLimits) -> TensorFile:
    """Open a PyTorch state dict, or a checkpoint that holds one, without reading its tensors.

    Returns
    -------
    TensorFile
        In the order of the state dict, which is that of the modules. What is no tensor of real numbers is in
        `unread`.

    Raises
    ------
    FileFormatError
        If it is no zip-based state dict, or PyTorch is missing or older than 2.6.
    LimitError
        If it is larger than `limits` allow.
    """
    _require_state_dict(path, limits)
    torch = _torch(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch on its own future; what matters is raised
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged pickle makes PyTorch raise anything at all
        raise _wrong(path, "a state dict that torch.load(weights_only=True) reads", _first_line(error)) from error
    state, unread = find_state_dict(content, path, torch)
    limits.require("max_tensors", len(state), path, "the number of its tensors")
    room = path.stat().st_size
    tensors = {}
    for name, value in state.items():
        limits.require("max_dimensions", value.ndim, path, f"the number of dimensions of {name!r}")
        tensors[name] = tensor_of(name, value, torch)
        if tensors[name].n_bytes > room:
            came = f"{tensors[name].shape}, {tensors[name].n_bytes:,} bytes in a file of {room:,}"
            raise _wrong(path, f"a tensor {name!r} that the file holds", came)
    limits.require("max_bytes", sum(t.n_bytes for t in tensors.values()), path, "the size of its tensors in bytes")
    return TensorFile(path, "pytorch", tensors, unread=tuple(unread), in_order=True)


def _require_state_dict(path: Path, limits: LoadLimits) -> None:
    """Refuse what is no state dict from the archive's directory and the opcodes of its pickle alone."""
    with open_archive(path, limits, ".pt") as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
        _require_no_program(path, members)
        if len(pickles) != 1:
            raise _wrong(path, "one data.pkl, as torch.save writes it", f"{len(pickles)} in {len(members)} members")
        packed = next((name for name, info in members.items() if info.compress_type != zipfile.ZIP_STORED), None)
        if packed is not None:
            raise _wrong(path, "stored members, as torch.save writes them", f"{packed!r}, which is compressed")
        limits.require("max_header_bytes", members[pickles[0]].file_size, path, "the length of its pickle in bytes")
        if members[pickles[0]].file_size > LONGEST_PICKLE:
            came = f"{members[pickles[0]].file_size:,}"
            raise _wrong(path, f"a pickle of at most {LONGEST_PICKLE:,} bytes beside the tensors", came)
        try:
            foreign = foreign_globals(archive.read(pickles[0]))
        except (ValueError, OSError, EOFError, zipfile.BadZipFile, RuntimeError) as error:
            raise _wrong(path, "an intact pickle of tensors", str(error) or type(error).__name__) from error
    if foreign:
        listed = ", ".join(foreign[:4]) + (f" and {len(foreign) - 4} more" if len(foreign) > 4 else "")
        msg = (
            f"{path}: expected a state dict (tensors by name), got a pickle that would import {listed}: a whole module "
            f"or other objects, which could run code; {SAVE_STATE_DICT}"
        )
        raise FileFormatError(msg)


def _require_no_program(path: Path, members: Mapping[str, object]) -> None:
    inner = {name.partition("/")[2] for name in members}
    program = None
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        program = "a TorchScript archive, which holds code"
    elif "archive_format" in inner or any(name.startswith("models/") for name in inner):
        program = "a program made by torch.export (.pt2), which holds code"
    if program is not None:
        msg = f"{path}: expected a state dict, got {program}; {SAVE_STATE_DICT}"
        raise FileFormatError(msg)


def _torch(path: Path) -> Any:
    hint = "pip install 'netspectra[torch]', or save the state dict with safetensors, which needs no PyTorch"
    try:
        import torch
    except ImportError as error:
        msg = f"{path}: reading it takes torch>=2.6, which is not installed; {hint}"
        raise FileFormatError(msg) from error
    numbers = tuple(int(part) for part in str(torch.__version__).split("+")[0].split(".")[:2] if part.isdigit())
    if numbers < OLDEST_TORCH:
        msg = f"{path}: reading it safely takes torch>=2.6, got {torch.__version__}; {hint}"
        raise FileFormatError(msg)
    return torch


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text[:200]}"


def _wrong(path: Path, expected: str, came: str) -> FileFormatError:
    return FileFormatError(f"{path}: not a readable .pt file: expected {expected}, got {came}; {SAVE_STATE_DICT}")
