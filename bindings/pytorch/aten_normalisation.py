"""Normalisations, as the factors of channels that they leave behind."""

from typing import Any

import numpy as np

from netspectra.bindings.pytorch.call import Call, Emitter
from netspectra.bindings.pytorch.recorder import Constant, Flow
from netspectra.networks import Weight

__all__ = ["NORMALISATION"]


def batch_norm(call: Call) -> Any:
    """Batch or instance normalisation: with stored variances a fixed factor, else the affine one alone."""
    variance = call.get("running_var")
    if call.get("training") or call.get("use_input_stats"):
        variance = None
    made = _per_channel(call, call["input"], call.get("weight"), variance)
    return [made] if call.is_list else made


def group_norm(call: Call) -> Any:
    """Group normalisation."""
    made = _per_channel(call, call["input"], call.get("weight"), None)
    return [made] if call.is_list else made


def layer_norm(call: Call) -> Any:
    """Layer or RMS normalisation: a factor per channel if the last axis alone is normalised."""
    flow, weight = call["input"], call.get("weight")
    if weight is None:
        made = call.emit("pass", flow, shape=call.shape)
    elif not _is_fixed(weight):
        return call.opaque("the factors of a normalisation depend on the inputs")
    elif len(weight.shape) != 1:
        made = call.emit("pass", flow, shape=call.shape)
        call.skip(made, f"a normalisation over {len(weight.shape)} axes has no factor per channel", weight.key)
    else:
        axis = -1 if flow.shape is None else len(flow.shape) - 1
        made = call.emit("scale", flow, shape=call.shape, weights={"scale": weight}, axis=axis)
    return [made] if call.is_list else made


def _per_channel(call: Call, flow: Flow, weight: Any, variance: Any) -> Any:
    if not all(value is None or _is_fixed(value) for value in (weight, variance)):
        return call.opaque("the factors of a normalisation depend on the inputs")
    if variance is None and weight is None:
        return call.emit("pass", flow, shape=call.shape)
    weights: dict[str, Constant | Weight] = {} if weight is None else {"scale": weight}
    if variance is None:
        return call.emit("scale", flow, shape=call.shape, weights=weights, axis=1)
    if weight is None:
        weights["scale"] = Weight.of(np.ones(variance.shape, np.float32))
    weights["variance"] = variance
    return call.emit("scale", flow, shape=call.shape, weights=weights, axis=1, epsilon=float(call["eps"]))


def _is_fixed(value: Any) -> bool:
    return isinstance(value, Constant) and value.evaluate is not None


_BATCH = (
    "batch_norm instance_norm native_batch_norm cudnn_batch_norm miopen_batch_norm _native_batch_norm_legit "
    "_native_batch_norm_legit_no_training _native_batch_norm_legit_functional _batch_norm_no_update "
    "_batch_norm_with_update"
)

NORMALISATION: dict[str, Emitter] = {
    **dict.fromkeys(_BATCH.split(), batch_norm),
    **dict.fromkeys(("group_norm", "native_group_norm"), group_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm"), layer_norm),
}
"""ATen operation to its emitter."""
