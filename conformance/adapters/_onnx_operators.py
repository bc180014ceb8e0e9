"""Calls of operators in ONNX Runtime, through graphs that are made once and kept."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._onnx_graphs import Node, graph, node_of
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from conformance.records import OperatorCall

    Array = NDArray[Any]

_KEPT_GRAPHS = 256


class Operators:
    """Calls of operators; the graphs are kept.

    Args:
        opener: makes an inference session from the bytes of a graph.
    """

    def __init__(self, opener: Callable[[bytes], Any]) -> None:
        @functools.lru_cache(maxsize=_KEPT_GRAPHS)
        def session(node: Node) -> Any:
            return opener(graph(node))

        self._session = session

    def compute(self, call: OperatorCall) -> dict[str, Array]:
        """Return a call's outputs by formal name.

        Raises:
            Unsupported: the standard has no such operator, or ONNX Runtime no kernel for it.
        """
        from onnxruntime.capi.onnxruntime_pybind11_state import (  # noqa: PLC0415
            InvalidGraph,  # what the standard does not define for a type is refused so
            NotImplemented,  # noqa: A004
        )

        try:
            session = self._session(node_of(call))
        except (NotImplemented, InvalidGraph) as error:
            raise Unsupported(f"ONNX Runtime has no kernel for {call.operator}: {error}") from error
        return dict(zip(call.outputs, run(session, call.outputs, call.inputs), strict=True))


def run(session: Any, outputs: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
    """Return what a session computes, in any type: its own ``run`` knows NumPy's alone."""
    given = {name: _value(array) for name, array in inputs.items()}
    return [_array(value) for value in session.run_with_ort_values(list(outputs), given)]


def _value(array: Array) -> Any:
    """Return an array as ONNX Runtime takes it; NumPy's own types alone go without help."""
    import onnx  # noqa: PLC0415
    from onnxruntime import OrtValue  # noqa: PLC0415

    if not array.flags.c_contiguous:  # NumPy's own function would make a vector of a scalar
        array = np.ascontiguousarray(array)
    if array.dtype.isbuiltin == 1:
        return OrtValue.ortvalue_from_numpy(array)
    bits = array.view(f"u{array.dtype.itemsize}")
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    return OrtValue.ortvalue_from_numpy_with_onnx_type(bits, kind)


def _array(value: Any) -> Array:
    """Return an answer as an array; what NumPy has no type for is read from its memory."""
    import onnx  # noqa: PLC0415

    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.element_type())
    if dtype.isbuiltin == 1:
        array: Array = value.numpy()
        return array
    size = math.prod(value.shape()) * dtype.itemsize
    memory = (ctypes.c_char * size).from_address(value.data_ptr()) if size else b""
    return np.frombuffer(memory, dtype=dtype).reshape(value.shape()).copy()
