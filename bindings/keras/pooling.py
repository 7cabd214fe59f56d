"""Pooling, local and global."""

from netspectra.bindings.keras.sizes import places, slid, with_places
from netspectra.bindings.keras.tape import Step

__all__ = ["POOLING"]


def _pooled(step: Step) -> str:
    shape, n = step.shape, int(step.layer.kind[-2])
    if shape is not None:
        window = step.integers("pool_size", n, 2)
        strides = step.integers("strides", n, window)
        padding, old = str(step.config.get("padding", "valid")), places(shape, channels_first=step.channels_first)
        sizes = tuple(slid(size, k, s, padding) for size, k, s in zip(old, window, strides, strict=True))
        shape = with_places(shape, sizes, channels_first=step.channels_first)
    return step.emit("pass", step.inputs[0], shape)


def _adapted(step: Step) -> str:
    shape, n = step.shape, int(step.layer.kind[-2])
    if shape is not None:
        shape = with_places(shape, step.integers("output_size", n, None), channels_first=step.channels_first)
    return step.emit("pass", step.inputs[0], shape)


def _global(step: Step) -> str:
    n, keep = int(step.layer.kind[-2]), step.config.get("keepdims") is True
    first = 2 if step.channels_first else 1
    axes, shape = tuple(range(first, first + n)), step.shape
    if shape is not None:
        left = (1,) * n if keep else ()
        shape = with_places(shape, left, channels_first=step.channels_first)
    return step.emit("reduce", step.inputs[0], shape, axes=axes, keepdims=keep)


_NAMES = [f"{kind}Pooling{n}D" for kind in ("Max", "Average") for n in (1, 2, 3)]

POOLING = {
    **dict.fromkeys(_NAMES, _pooled),
    **{f"Adaptive{name}": _adapted for name in _NAMES},
    **{f"Global{name}": _global for name in _NAMES},
}
