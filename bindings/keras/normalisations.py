"""Normalisations: the factor per channel of those that have one."""

from netspectra.bindings.keras.tape import Step
from netspectra.errors import FileFormatError

__all__ = ["NORMALISATIONS"]


def _batch(step: Step) -> str:
    weights = {"variance": step.weight("moving_variance", 1)}
    if "gamma" in step.weights:
        weights["scale"] = step.weight("gamma", 1)
    epsilon = step.config.get("epsilon", 1e-3)
    if not isinstance(epsilon, int | float):
        msg = f"layer {step.name!r}: expected a number epsilon, got {epsilon!r}"
        raise FileFormatError(msg)
    return step.emit("scale", step.inputs[0], step.shape, weights, axis=_axis(step), epsilon=float(epsilon))


def _layer(step: Step) -> str:
    axis, rank = step.config.get("axis", -1), None if step.shape is None else len(step.shape)
    axes = axis if isinstance(axis, list | tuple) else [axis]
    gamma = step.weights.get("gamma")
    if gamma is None:
        return step.emit("pass", step.inputs[0], step.shape)
    if len(axes) != 1 or len(gamma.shape) != 1 or axes[0] not in (-1, None if rank is None else rank - 1):
        step.skip(f"normalises axes {axes} together: its factors differ from place to place", "gamma")
        return step.emit("pass", step.inputs[0], step.shape)
    return step.emit("scale", step.inputs[0], step.shape, {"scale": gamma}, axis=-1)


def _group(step: Step) -> str:
    if "gamma" not in step.weights:
        return step.emit("pass", step.inputs[0], step.shape)
    return step.emit("scale", step.inputs[0], step.shape, {"scale": step.weight("gamma", 1)}, axis=_axis(step))


def _root_mean_square(step: Step) -> str:
    scale = step.weight("scale")
    if len(scale.shape) != 1:
        step.skip("normalises several axes together: its factors differ from place to place", "scale")
        return step.emit("pass", step.inputs[0], step.shape)
    return step.emit("scale", step.inputs[0], step.shape, {"scale": scale}, axis=_axis(step))


def _scaled(step: Step) -> str:
    return step.emit("scale", step.inputs[0], step.shape, {"scale": step.weight("gamma", 1)}, axis=-1)


def _of_the_data(step: Step) -> str:
    if step.weights:
        step.skip("brings the data to mean 0 and variance 1 before the network", *step.weights)
    return step.emit("pass", step.inputs[0], step.shape)


def _axis(step: Step) -> int:
    axis = step.config.get("axis", -1)
    if isinstance(axis, list | tuple) and len(axis) == 1:  # TensorFlow's Keras writes it so
        axis = axis[0]
    if not isinstance(axis, int) or isinstance(axis, bool):
        msg = f"layer {step.name!r} ({step.layer.kind}): expected one axis, got {axis!r}"
        raise FileFormatError(msg)
    return axis


def _factorless(step: Step) -> str:
    return step.emit("pass", step.inputs[0], step.shape)


NORMALISATIONS = {
    "BatchNormalization": _batch,
    "BatchNormalizationV1": _batch,
    "LayerNormalization": _layer,
    "GroupNormalization": _group,
    "RMSNormalization": _root_mean_square,
    "UnitNormalization": _factorless,
    "LayerScale": _scaled,  # of keras.applications
    "Normalization": _of_the_data,
}
