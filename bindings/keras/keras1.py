"""Configurations of Keras 1, said in the words of its successors."""

from collections.abc import Mapping
from typing import Any

__all__ = ["modernised"]

_KINDS = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "SeparableConvolution2D": "SeparableConv2D",
}
_MERGES = {"sum": "Add", "ave": "Average", "max": "Maximum", "mul": "Multiply", "concat": "Concatenate"}
_KEYS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "subsample_length": "strides",
    "filter_length": "kernel_size",
    "border_mode": "padding",
    "bias": "use_bias",
    "atrous_rate": "dilation_rate",
    "concat_axis": "axis",
    "pool_length": "pool_size",
    "stride": "strides",
}
_SIDES = ("nb_row", "nb_col")
_VOLUME = ("kernel_dim1", "kernel_dim2", "kernel_dim3")
_RECURRENT = ("SimpleRNN", "LSTM", "GRU")


def modernised(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record of a layer with the classes and keys of Keras 2, itself if it has them already."""
    config = record.get("config")
    if not isinstance(config, Mapping) or not _is_old(record["class_name"], config):
        return record
    kind, config = _KINDS.get(record["class_name"], record["class_name"]), dict(config)
    for old, new in _KEYS.items():
        if old in config and new not in config:
            config[new] = config[old]
    for sides in (_SIDES, _VOLUME):
        if all(side in config for side in sides):
            config["kernel_size"] = [config[side] for side in sides]
    if kind == "Dense":
        config["units"] = config["output_dim"]
    if config.get("dim_ordering") == "th":
        # Theano's order of axes; its kernels are stored (out, in, …).
        config |= {"data_format": "channels_first", "kernel_layout": "oihw"}
    if kind == "Merge":
        kind = _MERGES.get(str(config.get("mode")), "Merge")
    if kind in _RECURRENT:
        kind = f"{kind} of Keras 1"  # each gate has matrices of its own
    return {**record, "class_name": kind, "config": config}


def _is_old(kind: Any, config: Mapping[str, Any]) -> bool:
    if kind in _KINDS or kind == "Merge" or "border_mode" in config or "dim_ordering" in config:
        return True
    return kind in ("Dense", *_RECURRENT) and "units" not in config and "output_dim" in config
