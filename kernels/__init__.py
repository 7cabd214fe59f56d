"""The machine: arrays, devices and the verbs over them. Knows nothing of networks, files or p-values."""

from importlib import import_module
from typing import Any

from netspectra.errors import GraphError
from netspectra.kernels.backend import Backend
from netspectra.kernels.weights import BlockWeights, CsrWeights, DenseWeights

__all__ = ["Backend", "BlockWeights", "CsrWeights", "DenseWeights", "available_backends", "get_backend"]

_FACTORIES = {
    "cuda": "netspectra.kernels.cuda:CudaBackend",
    "cpu": "netspectra.kernels.cpu:CpuBackend",
    "jax": "netspectra.kernels.jax:JaxBackend",
    "reference": "netspectra.kernels.reference:ReferenceBackend",
}
_default: dict[str, Backend] = {}


def available_backends() -> list[str]:
    """Names of the backends that can be used here, in the order in which ``"auto"`` takes them.

    ``"cuda"`` only where a device answers, ``"jax"`` only where a release that is new enough is installed.
    """
    from netspectra.kernels.cuda.cupy_machine import cuda_answers
    from netspectra.kernels.jax import OLDEST, jax_version

    usable = {"cuda": cuda_answers(), "jax": (jax_version() or (0,)) >= OLDEST}
    return [name for name in _FACTORIES if usable.get(name, True)]


def get_backend(name: Any = "auto", **options: Any) -> Backend:
    """Return a backend by name, or `name` itself if it is one.

    Parameters
    ----------
    name : {"auto", "cuda", "cpu", "jax", "reference"} or Backend
        ``"auto"`` takes ``"cuda"`` where a device answers, else ``"cpu"``; the others are taken by name only.
    **options
        Passed on to the backend, e.g. ``n_threads=2`` or ``dtype="float64"`` for ``"cpu"``, ``device=1`` for
        ``"cuda"``, ``mesh=jax.make_mesh((8,), ("devices",))`` for ``"jax"``.

    Raises
    ------
    GraphError
        If the name is not that of a backend.
    BackendUnavailableError
        If the backend exists but cannot work here.
    """
    if not isinstance(name, str):
        if isinstance(name, Backend):
            if options:
                msg = f"options {sorted(options)} belong to a backend's name; {name!r} is already made, make a new one"
                raise GraphError(msg)
            return name
        msg = f"backend must be a name or a backend object, got {type(name).__name__}"
        raise GraphError(msg)
    chosen = available_backends()[0] if name == "auto" else name
    if chosen not in _FACTORIES:
        msg = f"backend must be one of {['auto', *_FACTORIES]} or a backend object, got {name!r}"
        raise GraphError(msg)
    if not options and chosen in _default:
        return _default[chosen]
    module, factory = _FACTORIES[chosen].split(":")
    try:
        backend: Backend = getattr(import_module(module), factory)(**options)
    except TypeError as error:
        msg = f"backend {chosen!r} does not know these options: {error}"
        raise GraphError(msg) from error
    if not options:
        _default[chosen] = backend
    return backend
