"""Small kernels written into the tests themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cuda_kernels.emulated import EmulatedLauncher


@dataclass(frozen=True)
class InlineKernel:
    """A kernel whose source stands in a test."""

    name: str
    source: str


@pytest.fixture
def inline(require: Callable[[str], Any]) -> Callable[..., EmulatedLauncher]:
    """Return ``run(source, arguments, grid, block, shared, **options of the launcher)``; the kernel's name is ``k``."""
    require("cxx")

    def run(
        source: str,
        arguments: list[Any],
        grid: tuple[int, int, int] = (1, 1, 1),
        block: int = 64,
        shared: int = 0,
        **options: Any,
    ) -> EmulatedLauncher:
        launcher = EmulatedLauncher(**options)
        launcher.launch(InlineKernel("k", source), grid, block, arguments, shared)
        return launcher

    return run
