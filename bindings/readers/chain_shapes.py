"""How weights follow one another in a chain: matrices of dense layers and kernels of convolutions, from shapes alone.

A matrix is (out, in) or (in, out), a kernel (out, in, *positions) or (*positions, in, out): one choice for all weights
of a file, ``"out-in"`` or ``"in-out"``. A dense layer after a convolution may read each channel at several positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from netspectra.bindings.readers.selection import TensorRecord
from netspectra.graph.layer_graph import Orientation

__all__ = ["Step", "follow", "kernel_sizes"]


@dataclass(frozen=True, slots=True)
class Step:
    """One layer of a chain.

    Attributes
    ----------
    n_in, n_out : int
        What it reads and makes: channels of a convolution, units of a dense layer.
    groups : int
        Of a convolution; as many as it reads where it is depthwise.
    positions : int
        A dense layer after a convolution reads each channel at so many positions.
    """

    n_in: int
    n_out: int
    groups: int = 1
    positions: int = 1


def follow(records: Sequence[TensorRecord], orientation: Orientation) -> list[Step]:
    """Return the steps of a chain as far as shapes chain: fewer than there are weights where they break off."""
    steps: list[Step] = []
    for i, record in enumerate(records):
        before = (steps[-1].n_out, len(records[i - 1].shape) > 2) if steps else None
        step = _dense(record, orientation, before) if len(record.shape) == 2 else _kernel(record, orientation, before)
        if step is None:
            break
        steps.append(step)
    return steps


def kernel_sizes(records: Sequence[TensorRecord], orientation: Orientation) -> tuple[int, int]:
    """(kernels whose positions are not square, positions of all kernels): both small for the right orientation."""
    odd = total = 0
    for record in records:
        sides = record.shape[2:] if orientation == "out-in" else record.shape[:-2]
        n_positions = 1
        for side in sides:
            n_positions *= side
        total += n_positions if sides else 0
        odd += len(set(sides)) > 1
    return odd, total


def _dense(record: TensorRecord, orientation: Orientation, before: tuple[int, bool] | None) -> Step | None:
    n_in, n_out = record.shape if orientation == "in-out" else record.shape[::-1]
    if before is None or before[0] == n_in:
        return Step(n_in, n_out)
    channels, are_channels = before
    if are_channels and n_in % channels == 0:
        return Step(n_in, n_out, positions=n_in // channels)
    return None


def _kernel(record: TensorRecord, orientation: Orientation, before: tuple[int, bool] | None) -> Step | None:
    if orientation == "out-in":
        n_out, n_in = record.shape[:2]
    else:
        n_in, n_out = record.shape[-2:]
        if "depthwise" in record.name.lower() and (before is None or before == (n_in, True)):
            return Step(n_in, n_in * n_out, groups=n_in)  # Keras: so many outputs for each channel
    if before is None:
        return Step(n_in, n_out)
    channels, are_channels = before
    if not are_channels:
        return None
    if channels == n_in:
        return Step(n_in, n_out)
    if n_in == 1 and n_out % channels == 0:
        return Step(channels, n_out, groups=channels)
    return None
