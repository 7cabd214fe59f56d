"""Weights as given: whatever array a caller has, where it is, uncopied.

On the host they become a read-only NumPy view or a canonical CSR array; on a device they stay the array they are, or a
:class:`DeviceCsr`. float16, bfloat16, float32 and float64 are kept as they are; bool and integers become float64;
complex and object are errors (design: "Dtypes").
"""

from typing import Any, TypeAlias

import array_api_compat
import numpy as np
import scipy.sparse as sp

from netspectra.errors import GraphError
from netspectra.graph.device import HOST, cuda_backend, current_device, device_of
from netspectra.graph.device_csr import DeviceCsr
from netspectra.graph.dtypes import real_floats, storage_dtype
from netspectra.graph.panels import require_finite

__all__ = ["Weights", "as_weights", "is_sparse"]

Weights: TypeAlias = Any
"""On the host ``numpy.ndarray`` or ``scipy.sparse.csr_array``; on a device an array of its library or a DeviceCsr."""


def as_weights(weights: object, what: str, *, keep_zeros: bool = False, copy: bool = False) -> Weights:
    """Return `weights` as a 2-D array or canonical CSR where they are: read-only on the host, views where possible.

    Parameters
    ----------
    weights : array_like, sparse array or matrix, or object with ``__dlpack__``
        Shape (n_source, n_target), on the host or on one device.
    what : str
        How an error message calls it.
    keep_zeros : bool, default False
        Keep the explicit zeros of a sparse array: its pattern is then a support.
    copy : bool, default False
        Copy even where a view would do.

    Raises
    ------
    GraphError
        If it is not a 2-D array of finite real numbers.
    """
    if is_sparse(weights):
        options = {"keep_zeros": keep_zeros, "copy": copy}
        if sp.issparse(weights):
            return _canonical_csr(weights, what, **options)
        with current_device(weights.data):  # type: ignore[attr-defined]
            return _canonical_device_csr(weights, what, **options)
    array = _to_array(weights, what)
    if array.ndim != 2:
        shape = tuple(int(size) for size in array.shape)
        msg = f"{what}: expected a 2-D array (n_source, n_target), got {array.ndim} dimension(s), shape {shape}"
        raise GraphError(msg)
    with current_device(array):
        array = real_floats(array, what)
        if isinstance(array, np.ndarray):
            array = array.copy() if copy else array.view()
            array.flags.writeable = False
        elif copy:
            array = array_api_compat.array_namespace(array).asarray(array, copy=True)
        require_finite(array, what)
    return array


def is_sparse(weights: Any) -> bool:
    """Whether these are sparse weights: a SciPy one, or one like it (a ``tocsr`` method) whose data is on a device."""
    if sp.issparse(weights) or isinstance(weights, DeviceCsr):
        return True
    return hasattr(weights, "tocsr") and hasattr(weights, "data") and device_of(weights.data) != HOST


def _to_array(weights: Any, what: str) -> Any:
    """Array of the caller's library where the weights are on a device, else of NumPy."""
    if np.ma.is_masked(weights):
        msg = f"{what}: some entries are masked; say what they are worth first, e.g. with .filled(0)"
        raise GraphError(msg)
    try:
        device = device_of(weights)
        if device != HOST:
            return _on_device(weights, device)
        if hasattr(weights, "__dlpack__") and not hasattr(weights, "__array_interface__"):
            return _from_dlpack(weights)
        return np.asarray(weights)
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        msg = f"{what}: cannot be read as an array ({type(weights).__name__}): {error}"
        raise GraphError(msg) from error


def _on_device(weights: Any, device: str) -> Any:
    """A device array as it is; what only has DLPack, as an array of the backend of its device (memory is shared)."""
    if array_api_compat.is_torch_array(weights) and not str(weights.layout).endswith("strided"):
        msg = f"it is sparse in a layout of its own ({weights.layout}); pass a cupyx.scipy.sparse.csr_matrix"
        raise TypeError(msg)
    if array_api_compat.is_array_api_obj(weights):
        return weights.detach() if hasattr(weights, "detach") else weights  # PyTorch: without its gradient
    if device.startswith("cuda:"):
        return cuda_backend(device).asarray(weights)
    msg = f"it is on {device}, where netspectra works on arrays of the array-API standard only; copy it to the host"
    raise TypeError(msg)


def _from_dlpack(weights: Any) -> np.ndarray[Any, Any]:
    try:
        return np.from_dlpack(weights.detach() if hasattr(weights, "detach") else weights)
    except (BufferError, TypeError, RuntimeError):
        if not hasattr(weights, "__array__"):
            raise
        return np.asarray(weights)  # a dtype that NumPy's DLPack does not know, as JAX's bfloat16


def _canonical_csr(weights: Any, what: str, *, keep_zeros: bool, copy: bool) -> sp.csr_array:
    if weights.ndim != 2:
        msg = f"{what}: expected a 2-D sparse array (n_source, n_target), got shape {weights.shape}"
        raise GraphError(msg)
    source = weights.tocsr()
    data = real_floats(np.asarray(source.data), what)
    try:
        parts = (np.ascontiguousarray(part) for part in (data, source.indices, source.indptr))
        csr = sp.csr_array(tuple(parts), shape=source.shape, copy=copy)
        csr.check_format(full_check=True)  # an index out of range would be read as memory
    except ValueError as error:
        msg = f"{what}: not a valid sparse array ({error}); build it again"
        raise GraphError(msg) from error
    if not csr.has_canonical_format or (not keep_zeros and not np.all(csr.data)):
        csr = csr.copy()
        csr.sum_duplicates()
        if not keep_zeros:
            csr.eliminate_zeros()
    require_finite(csr.data, what)
    for part in ("data", "indices", "indptr"):
        view = getattr(csr, part).view()
        view.flags.writeable = False
        setattr(csr, part, view)
    return csr


def _canonical_device_csr(weights: Any, what: str, *, keep_zeros: bool, copy: bool) -> DeviceCsr:
    """CSR of a sparse array on a device: its own arrays where they are canonical, else what its own methods make."""
    if isinstance(weights, DeviceCsr):
        return weights
    source = weights.tocsr()
    if storage_dtype(source.data).kind in "biu":
        source = source.astype(np.float64)  # before duplicates are summed
    if copy:
        source = source.copy()
    csr = _device_csr(source, what)
    if not csr.is_canonical():
        source = source.copy()  # the caller's is left alone
        source.sum_duplicates()
        csr = _device_csr(source, what)
    edges = csr.data != 0
    if not keep_zeros and not bool(csr.xp.all(edges)):
        csr = csr.where(edges)
    require_finite(csr.data, what)
    return csr


def _device_csr(source: Any, what: str) -> DeviceCsr:
    rows, cols = (int(size) for size in source.shape)
    csr = DeviceCsr(real_floats(source.data, what), source.indices, source.indptr, (rows, cols))
    if fault := csr.fault():
        msg = f"{what}: not a valid sparse array ({fault}); build it again"
        raise GraphError(msg)
    return csr
