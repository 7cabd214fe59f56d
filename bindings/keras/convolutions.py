"""Convolutions: whole, grouped, depthwise, separable, transposed."""

from collections.abc import Sequence
from dataclasses import replace

from netspectra.bindings.keras.sizes import places, slid, spread, with_places
from netspectra.bindings.keras.tape import Shape, Step
from netspectra.networks import Weight

__all__ = ["CONVOLUTIONS"]


def _convolution(step: Step) -> str:
    kernel = step.weight("kernel", 3, 4, 5)
    layout = str(step.config.get("kernel_layout", "hwio"))  # Keras 1 on Theano: oihw
    window, made = (kernel.shape[2:], kernel.shape[0]) if layout == "oihw" else (kernel.shape[:-2], kernel.shape[-1])
    shape = _slid(step, window, made)
    groups = step.integer("groups", 1)
    return _emit(step, step.inputs[0], shape, kernel, layout, groups)


def _transposed(step: Step) -> str:
    kernel, n = step.weight("kernel", 3, 4, 5), len(step.weight("kernel").shape) - 2
    shape = step.shape
    if shape is not None:
        strides, dilations = (step.integers(key, n) for key in ("strides", "dilation_rate"))
        given = step.config.get("output_padding")
        extra = (None,) * n if given is None else given if isinstance(given, list | tuple) else (given,) * n
        padding, old = str(step.config.get("padding", "valid")), places(shape, channels_first=step.channels_first)
        each = zip(old, kernel.shape[:-2], strides, extra, dilations, strict=True)
        sizes = tuple(spread(size, k, s, padding, e, d) for size, k, s, e, d in each)
        shape = with_places(shape, sizes, kernel.shape[-2], channels_first=step.channels_first)
    return _emit(step, step.inputs[0], shape, kernel, "hwoi", 1)


def _depthwise(step: Step, part: str = "") -> str:
    kernel = step.weight("depthwise_kernel", 3, 4)
    *window, n_channels, multiplier = kernel.shape
    grouped = _with_shape(kernel, (*window, 1, n_channels * multiplier))  # channel c makes c m … c m + m - 1
    shape = _slid(step, window, n_channels * multiplier)
    return _emit(step, step.inputs[0], shape, grouped, "hwio", n_channels, part)


def _separable(step: Step) -> str:
    kernel = step.weight("pointwise_kernel", 3, 4)
    between = _depthwise(step, "depthwise")
    shape = step.tape.shapes[between]
    if shape is not None:
        old = places(shape, channels_first=step.channels_first)
        shape = with_places(shape, old, kernel.shape[-1], channels_first=step.channels_first)
    return _emit(step, between, shape, kernel, "hwio", 1, "pointwise")


def _slid(step: Step, window: Sequence[int], n_channels: int) -> Shape | None:
    shape, n = step.shape, len(window)
    if shape is None:
        return None
    strides, dilations = (step.integers(key, n) for key in ("strides", "dilation_rate"))
    padding, old = str(step.config.get("padding", "valid")), places(shape, channels_first=step.channels_first)
    each = zip(old, window, strides, dilations, strict=True)
    sizes = tuple(slid(size, k, s, padding, d) for size, k, s, d in each)
    return with_places(shape, sizes, n_channels, channels_first=step.channels_first)


def _emit(
    step: Step, tensor: str, shape: Shape | None, kernel: Weight, layout: str, groups: int, part: str = ""
) -> str:
    axis = 1 if step.channels_first else -1
    return step.emit("convolution", tensor, shape, {"weight": kernel}, part, layout=layout, groups=groups, axis=axis)


def _with_shape(kernel: Weight, shape: tuple[int, ...]) -> Weight:
    return replace(kernel, shape=shape, read=lambda: kernel.read().reshape(shape))


def _unshared(step: Step) -> str:
    return step.opaque("its kernel differs from place to place")


CONVOLUTIONS = {
    **{f"Conv{n}D": _convolution for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": _depthwise for n in (1, 2)},
    **{f"SeparableConv{n}D": _separable for n in (1, 2)},
    **{f"LocallyConnected{n}D": _unshared for n in (1, 2)},
}
