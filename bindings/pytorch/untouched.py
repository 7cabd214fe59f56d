"""A module left as it was found: mode, attributes, hooks, random numbers, whatever a trace of it does."""

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["untouched"]


@contextmanager
def untouched(module: Any) -> Iterator[None]:
    """Run a block with every submodule in evaluation mode, without gradients, and put everything back.

    What is put back: the attributes of every submodule (hooks of `torch.nn.utils.prune` assign weights while they are
    traced), the contents of the lists and dictionaries among them (parameters, buffers, hooks, an LSTM's flat weights),
    the state of the random generators, and PyTorch's own switches. Modes are set as flags: a `train` method that
    does more is not called.
    """
    modules = list(module.modules())
    kept = [(part.__dict__, _snapshot(part.__dict__)) for part in modules]
    mha = torch.backends.mha.get_fastpath_enabled()
    chatty = logging.getLogger("torch._subclasses.fake_tensor")  # prints the traceback of an error that we report
    level = chatty.level
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.backends.mha.set_fastpath_enabled(False)  # fused, opaque attention instead of its parts
            chatty.setLevel(logging.CRITICAL)
            for part in modules:
                part.training = False
            yield
    finally:
        chatty.setLevel(level)
        torch.backends.mha.set_fastpath_enabled(mha)
        for attributes, before in kept:
            _restore(attributes, before)


def _snapshot(attributes: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (value, value.copy() if _is_container(value) else None) for name, value in attributes.items()}


def _restore(attributes: dict[str, Any], before: dict[str, tuple[Any, Any]]) -> None:
    for name in [name for name in attributes if name not in before]:
        del attributes[name]
    for name, (value, contents) in before.items():
        if attributes.get(name) is not value:
            attributes[name] = value
        if isinstance(value, list):
            value[:] = contents
        elif contents is not None:
            value.clear()
            value.update(contents)


def _is_container(value: Any) -> bool:
    return type(value) in (list, dict, OrderedDict, set)
