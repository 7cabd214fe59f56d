"""Registers and spills of every kernel, as a table: ``PYTHONPATH=tests python -m cuda_kernels.report > table.md``.

A cell is registers of a thread, then bytes of stack and of spills where there are any.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from cuda_kernels.device_compiler import ARCHITECTURES, Usage, compile_cubin, variants


def lines() -> Iterator[str]:
    """Yield the lines of the table, a kernel of a variant each."""
    yield f"| kernel | types | {' | '.join(ARCHITECTURES)} |"
    yield "|---" * (2 + len(ARCHITECTURES)) + "|"
    with ThreadPoolExecutor(2) as pool:
        asked = [
            [pool.submit(compile_cubin, v.source, architecture) for architecture in ARCHITECTURES] for v in variants()
        ]
        for variant, jobs in zip(variants(), asked, strict=True):
            cubins = [job.result() for job in jobs]
            types = " ".join(dtype for _, dtype in variant.types)
            for name in sorted(cubins[0].kernels):
                cells = " | ".join(_cell(cubin.kernels[name]) for cubin in cubins)
                yield f"| {variant.file} {name} | {types} | {cells} |"


def _cell(usage: Usage) -> str:
    memory = f" (stack {usage.stack}, spills {usage.spill_stores} + {usage.spill_loads})" if usage.stack else ""
    return f"{usage.registers}{memory}"


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in lines())
