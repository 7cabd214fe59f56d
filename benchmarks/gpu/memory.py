"""Device memory that a call takes: the most that was in use at once, and what CuPy's pool acquired for it."""

from __future__ import annotations

from typing import Any

__all__ = ["PeakMemory"]


class PeakMemory:
    """Context in which device allocations are counted; with NumPy for CuPy it counts nothing.

    Attributes
    ----------
    used : int
        Largest sum of allocations made inside and not yet freed, in bytes; what was there before does not count.
    acquired : int
        Bytes by which the memory that the pool holds has grown: `used`, rounding, and gaps. The pool is emptied at the
        start and gives nothing back by itself, so this is a peak too.
    device : int
        Bytes by which the free memory of the device has shrunk at the end: also what libraries took for themselves.
    """

    def __init__(self, lib: Any) -> None:
        self._lib = lib if hasattr(lib, "cuda") else None
        self.used = self.acquired = self.device = 0

    def __enter__(self) -> PeakMemory:
        if self._lib is None:
            return self
        pool = self._lib.get_default_memory_pool()
        pool.free_all_blocks()
        self._held, self._free = pool.total_bytes(), self._lib.cuda.runtime.memGetInfo()[0]
        self._hook = _counting_hook(self._lib)
        self._hook.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        if self._lib is None:
            return
        self._hook.__exit__(*error)
        self.used = self._hook.peak
        self.acquired = self._lib.get_default_memory_pool().total_bytes() - self._held
        self.device = self._free - self._lib.cuda.runtime.memGetInfo()[0]

    def as_dict(self) -> dict[str, int] | None:
        """Plain figures; None where nothing was counted."""
        if self._lib is None:
            return None
        return {"used": self.used, "acquired": self.acquired, "device": self.device}


def _counting_hook(cupy: Any) -> Any:
    class Counter(cupy.cuda.MemoryHook):  # type: ignore[misc]
        """Adds up what is allocated; called by name, once per allocation and once per release."""

        name = "netspectra-peak"

        def __init__(self) -> None:
            self.current = self.peak = 0

        def malloc_postprocess(self, **call: Any) -> None:
            if call["mem_ptr"]:  # 0 where the allocation failed
                self.current += int(call["mem_size"])
            self.peak = max(self.peak, self.current)

        def free_postprocess(self, **call: Any) -> None:
            self.current -= int(call["mem_size"])

    return Counter()
