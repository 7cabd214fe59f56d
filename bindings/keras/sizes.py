"""Sizes that sliding windows make: Keras' rules for padding, strides and dilation. None stays None: a free size."""

from netspectra.bindings.keras.tape import Shape
from netspectra.errors import FileFormatError

__all__ = ["places", "slid", "spread", "with_places"]


def places(shape: Shape, *, channels_first: bool) -> Shape:
    """Sizes of the axes of positions."""
    return shape[2:] if channels_first else shape[1:-1]


def with_places(shape: Shape, sizes: Shape, n_channels: int | None = None, *, channels_first: bool) -> Shape:
    """Return the shape with other positions, and another number of channels where it is given."""
    channels = (shape[1] if channels_first else shape[-1]) if n_channels is None else n_channels
    return (shape[0], channels, *sizes) if channels_first else (shape[0], *sizes, channels)


def slid(size: int | None, window: int, stride: int, padding: str, dilation: int = 1) -> int | None:
    """Return how many places a window takes that slides along `size` places.

    Raises
    ------
    FileFormatError
        If the window does not fit, or the padding is unknown.
    """
    if size is None:
        return None
    reach = (window - 1) * dilation + 1
    if padding in ("same", "causal"):
        return -(-size // stride)
    if padding == "valid" and size >= reach:
        return (size - reach) // stride + 1
    msg = f"a window of {reach} places with padding {padding!r} does not fit into {size}"
    raise FileFormatError(msg)


def spread(
    size: int | None, window: int, stride: int, padding: str, extra: int | None, dilation: int = 1
) -> int | None:
    """Return how many places a transposed convolution makes of `size`; `extra` is its ``output_padding``."""
    if size is None:
        return None
    reach = (window - 1) * dilation + 1
    if padding == "same":
        return size * stride if extra is None else (size - 1) * stride + reach % 2 + extra
    return (size - 1) * stride + reach + (max(reach, stride) - reach if extra is None else extra)
