"""The constants of an ONNX graph, each as its operators read it: a matrix one way or the other."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Readers = Mapping[str, list[tuple[Any, int]]]

_PASSED_ON = frozenset({"Cast", "Identity"})
"""Operators behind which a constant is still itself."""
PRODUCT, LOOKUP, OTHER = "product", "lookup", "other"


@dataclass(frozen=True)
class Use:
    """A constant as one kind of operator reads it."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    """As it is stored."""
    kind: str
    """``product``, where it is multiplied by as a matrix; ``lookup``, where rows are picked."""
    turned: bool
    """Whether it is stored as (in, out), and a checkpoint's (out, in) is its transpose."""
    read: Callable[[], Array]
    """Returns the numbers, mapped from their file where they lie beside the graph."""

    @property
    def logical(self) -> tuple[int, ...]:
        """Its shape as a checkpoint would have it."""
        return self.shape[::-1] if self.turned else self.shape


def opened(file: Path) -> Any:
    """Return a graph as an ``onnx.ModelProto``, without the weights that lie beside it."""
    import onnx  # noqa: PLC0415  # who has no graph needs no onnx

    return onnx.load(file, load_external_data=False)


def constants(model: Any, folder: Path) -> dict[str, tuple[Any, Callable[[], Array]]]:
    """Return the graph's float constants by name: the tensor, and what reads its numbers."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    made = (node for node in graph.node if node.op_type == "Constant")
    tensors |= {
        node.output[0]: one.t for node in made for one in node.attribute if one.name == "value"
    }
    return {
        name: (tensor, functools.partial(_read, tensor, folder))
        for name, tensor in tensors.items()
        if _type_of(tensor) in {"float64", "float32", "float16", "bfloat16"}
    }


def readers(model: Any) -> dict[str, list[tuple[Any, int]]]:
    """Return the operators that read each value, with the place at which they do."""
    found: dict[str, list[tuple[Any, int]]] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            found.setdefault(name, []).append((node, place))
    return found


def uses(file: Path) -> list[Use]:
    """Return how a graph's float constants of more than one number are read, in its order."""
    model = opened(file)
    by_value, found = readers(model), []
    for name, (tensor, read) in constants(model, file.parent).items():
        shape = tuple(tensor.dims)
        if math.prod(shape) > 1:
            kinds = dict.fromkeys(_kinds(name, by_value, len(shape)))
            found += [Use(name, _type_of(tensor), shape, *kind, read) for kind in kinds]
    return found


def _kinds(
    value: str, by_value: Readers, rank: int, *, flipped: bool = False
) -> Iterator[tuple[str, bool]]:
    """Yield how a value is read, and whether what is stored is the transpose of a checkpoint's."""
    for node, place in by_value.get(value, []):
        if node.op_type in _PASSED_ON:
            yield from _kinds(node.output[0], by_value, rank, flipped=flipped)
        elif rank == 2 and node.op_type == "Transpose":
            yield from _kinds(node.output[0], by_value, rank, flipped=not flipped)
        elif rank == 2 and place == 1 and node.op_type in {"MatMul", "Gemm"}:
            yield PRODUCT, flipped if _is_turned_by(node) else not flipped
        elif rank == 2 and place == 0 and node.op_type == "Gather":
            yield LOOKUP, flipped
        else:
            yield OTHER, flipped


def _is_turned_by(node: Any) -> bool:
    """Return whether an operator multiplies by the transpose of what it is given."""
    return any(one.name == "transB" and one.i for one in node.attribute)


def _type_of(tensor: Any) -> str:
    from onnx import helper  # noqa: PLC0415  # see above

    try:
        return str(helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except KeyError:  # a type that NumPy has none for
        return "unknown"


def _read(tensor: Any, folder: Path) -> Array:
    from onnx import helper, numpy_helper  # noqa: PLC0415  # see above

    dtype, shape = helper.tensor_dtype_to_np_dtype(tensor.data_type), tuple(tensor.dims)
    if not tensor.external_data:
        if tensor.raw_data:
            raw = np.frombuffer(tensor.raw_data, np.uint8)
            return np.asarray(raw.view(dtype)).reshape(shape)
        return np.asarray(numpy_helper.to_array(tensor))
    place = {entry.key: entry.value for entry in tensor.external_data}
    file = (folder / place["location"]).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise PackageError(f"constant {tensor.name} lies in {file}, out of the build's folder")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    try:
        raw = np.memmap(file, np.uint8, mode="r", offset=int(place.get("offset", 0)), shape=(size,))
    except (OSError, ValueError) as error:
        raise PackageError(f"constant {tensor.name} cannot be read from {file}: {error}") from error
    return np.asarray(raw.view(dtype)).reshape(shape)
