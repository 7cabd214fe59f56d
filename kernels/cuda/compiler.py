"""From CUDA C++ to a cubin by NVRTC, kept in the user's cache folder.

Not through ``cupy.RawModule(code=...)``, which always adds ``-ftz=true``: tiny float32 weights would count as zero on
the GPU and not on the CPU.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from netspectra.kernels.cache import writable_folder

__all__ = ["OPTIONS", "compiled_file"]

OPTIONS = ("--std=c++17",)


def compiled_file(nvrtc: Any, source: str, capability: str) -> Path:
    """File with the code of one translation unit for a device; compiled where the cache has none.

    Parameters
    ----------
    nvrtc : module
        ``cupy.cuda.nvrtc``.
    source : str
    capability : str
        Compute capability of the device without the dot, e.g. ``"90"``. A device newer than NVRTC gets PTX, which its
        driver compiles.

    Raises
    ------
    RuntimeError
        With the compiler's log, if it refuses the source.
    """
    known = max((int(arch) for arch in nvrtc.getSupportedArchs() if int(arch) <= int(capability)), default=0)
    native = known == int(capability)
    options = (*OPTIONS, f"-arch={'sm' if native else 'compute'}_{known}")
    text = "\n".join([source, *options, str(nvrtc.getVersion())])
    name = f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.{'cubin' if native else 'ptx'}"
    folder = writable_folder("cuda")
    path = (folder or Path(tempfile.mkdtemp(prefix="netspectra-"))) / name
    if not path.is_file():
        code = _compiled(nvrtc, source, options, native=native)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(code)
        Path(file.name).replace(path)  # whole or not at all, whoever else compiles at the same time
    return path


def _compiled(nvrtc: Any, source: str, options: tuple[str, ...], *, native: bool) -> bytes:
    program = nvrtc.createProgram(source, "netspectra.cu", (), ())
    try:
        try:
            nvrtc.compileProgram(program, options)
        except nvrtc.NVRTCError as error:
            msg = f"NVRTC does not compile a kernel: {error}\n{nvrtc.getProgramLog(program)}"
            raise RuntimeError(msg) from error
        code: bytes = nvrtc.getCUBIN(program) if native else nvrtc.getPTX(program)
        return code
    finally:
        nvrtc.destroyProgram(program)
