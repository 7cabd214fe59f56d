"""How many bytes can be allocated now."""

import os
from pathlib import Path

__all__ = ["available_bytes"]

_UNKNOWN = 4 << 30


def available_bytes() -> int:
    """Free physical memory, no more than the container's limit allows; 4 GiB where the system does not say."""
    return min([_physical(), *_container()])


def _physical() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError, AttributeError):
        return _UNKNOWN


def _container() -> list[int]:
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text().strip()
        return [] if limit == "max" else [max(0, int(limit) - int(used))]
    except (OSError, ValueError):
        return []
