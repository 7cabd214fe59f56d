"""The one door through which every Numba function of the CPU backend is compiled and cached.

Signatures are declared, so nothing compiles in the middle of a run. Compiled code is kept in the user's cache folder
under a name made from the hash of ``kernels/cpu/*.py``, of the keys and of the Numba version: Numba's ``cache=True``
misses changes in other files and fails at import where neither site-packages nor the home folder can be written. Where
nothing can be written, functions are compiled in memory, with one warning.
"""

import hashlib
import logging
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from netspectra.kernels.cache import writable_folder

__all__ = ["compile_seconds", "compiled", "helper"]

_log = logging.getLogger("netspectra")
_seconds = 0.0
_FASTMATH = {"contract", "reassoc", "nsz"}


def compile_seconds() -> float:
    """Seconds this process has spent compiling kernels or loading them from the cache."""
    return _seconds


def helper(function: Callable[..., Any]) -> Any:
    """Compile a function that is only called from other kernels: typed and inlined by its callers, never cached."""
    return numba.njit(nogil=True, fastmath=_FASTMATH, error_model="numpy", inline="never")(function)


def compiled(*signatures: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel for the declared `signatures`, nogil, from the cache where it is there.

    A signature is written as Numba's strings are; ``const(...)`` marks an array that may be read-only.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        global _seconds  # noqa: PLW0603
        start = time.perf_counter()
        dispatcher = numba.njit(nogil=True, fastmath=_FASTMATH, error_model="numpy")(function)
        if cache_folder() is not None:
            setattr(dispatcher, "_cache", _Cache(function))  # type: ignore[no-untyped-call]  # noqa: B010  (Numba has no public door)
        for signature in signatures:
            dispatcher.compile(eval(signature, {**vars(numba.types), "const": _const}))
        dispatcher.disable_compile()
        _seconds += time.perf_counter() - start
        return dispatcher

    return decorate


def _const(array: Any) -> Any:
    return array.copy(readonly=True)


@cache
def cache_folder() -> Path | None:
    """Folder of this version's compiled kernels, created; None (and one warning) where nothing can be written."""
    digest = hashlib.sha256(numba.__version__.encode())
    folder_of_kernels = Path(__file__).parent
    for source in [*sorted(folder_of_kernels.glob("*.py")), folder_of_kernels.parent / "keys.py"]:
        digest.update(source.name.encode() + source.read_bytes())
    folder = writable_folder(f"kernels-{digest.hexdigest()[:16]}")
    if folder is None:
        _log.warning("no writable cache folder: CPU kernels are compiled anew in every process (set NETSPECTRA_CACHE)")
    return folder


class _Locator(_CacheLocator):
    """Where Numba keeps one function's index: our folder, whose name already vouches for the sources."""

    def __init__(self, py_func: Callable[..., Any], py_file: str) -> None:
        self._name = f"{Path(py_file).stem}-{py_func.__code__.co_firstlineno}"

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return Path(self.get_cache_path()).name

    def get_disambiguator(self) -> str:
        return self._name

    @classmethod
    def from_function(cls, py_func: Callable[..., Any], py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012


class _Cache(FunctionCache):
    _impl_class = _CacheImpl

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Load compiled code; what is damaged is thrown away and compiled anew."""
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception as error:  # noqa: BLE001  (a truncated pickle can raise anything)
            _log.warning("damaged kernel cache in %s (%s): compiling anew", cache_folder(), error)
            self.flush()  # type: ignore[no-untyped-call]
            return None
