"""Tensors in JSON documents (schema ``tensor``). Files of tensors are ``safetensors``' business."""

from __future__ import annotations

import base64
import binascii
import math
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import schema
from conformance.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

DTYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(bool),
    "U8": np.dtype("<u1"),
    "I8": np.dtype("<i1"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "F32": np.dtype("<f4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F64": np.dtype("<f8"),
}
"""NumPy's type of each type name; the names are those of safetensors."""

READABLE_ELEMENTS = 4096
"""Integers and booleans up to this many elements are written as numbers that a person can read."""


def encode(array: NDArray[Any]) -> dict[str, Any]:
    """Return the document of an array of any shape, C order, bit for bit.

    Raises:
        FormatError: the array's type has no name in the format, or it has more than 8 axes.
    """
    array = np.asarray(array)
    names = [name for name, dtype in DTYPES.items() if dtype.name == array.dtype.name]
    if not names:
        raise FormatError("L2-ENUM", f"has type {array.dtype}; allowed: {', '.join(DTYPES)}")
    if array.ndim > 8:
        raise FormatError("L2-MAX-ITEMS", f"has {array.ndim} axes; allowed: 8", "/shape")
    little = array.astype(DTYPES[names[0]], copy=False)
    document: dict[str, Any] = {"dtype": names[0], "shape": list(array.shape)}
    if _is_readable(little):
        return document | {"data": little.ravel().tolist()}
    return document | {"data_b64": base64.b64encode(little.tobytes()).decode("ascii")}


def decode(document: Mapping[str, Any]) -> NDArray[Any]:
    """Return the array of a tensor document, in its own type.

    Raises:
        FormatError: layer L2, or layer L3: the parts of the document contradict each other.
    """
    schema.validate("tensor", document)
    dtype, shape = DTYPES[document["dtype"]], tuple(document["shape"])
    nbytes = math.prod(shape) * dtype.itemsize
    if document.get("nbytes", nbytes) != nbytes:
        detail = f"is {document['nbytes']}; type and shape make it {nbytes}"
        raise FormatError("L3-BYTE-LENGTH", detail, "/nbytes")
    flat = _from_bytes(document, dtype) if "data_b64" in document else _from_numbers(document)
    if flat.size != math.prod(shape):
        place = "/data_b64" if "data_b64" in document else "/data"
        detail = f"holds {flat.size} elements; shape {list(shape)} has {math.prod(shape)}"
        raise FormatError("L3-ELEMENT-COUNT", detail, place)
    try:
        return flat.reshape(shape)
    except ValueError:  # an axis of no length beside axes too long for this machine
        raise FormatError("L3-TENSOR-SIZE", f"{list(shape)} is too large", "/shape") from None


def check(document: Any) -> None:
    """Check a tensor document; raises as ``decode`` does."""
    decode(document)


def _is_readable(array: NDArray[Any]) -> bool:
    if array.dtype.kind not in "biu" or array.size > READABLE_ELEMENTS:
        return False
    return not array.size or bool(
        array.min() >= -schema.MAX_INTEGER and array.max() <= schema.MAX_INTEGER
    )


def _from_bytes(document: Mapping[str, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    text = document["data_b64"]
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        told = str(error).lower()
        raise FormatError("L3-BASE64", f"is not base64: {told}", "/data_b64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise FormatError("L3-BASE64", "has stray bits behind its last byte", "/data_b64")
    if len(data) % dtype.itemsize:
        detail = f"has {len(data)} bytes; {document['dtype']} takes {dtype.itemsize} per element"
        raise FormatError("L3-BYTE-LENGTH", detail, "/data_b64")
    if dtype.kind == "b" and data.strip(b"\0\1"):
        raise FormatError("L3-VALUE-RANGE", "has a byte that is neither 0 nor 1", "/data_b64")
    return np.frombuffer(data, dtype).copy()  # a copy may be written to, the text's bytes may not


def _from_numbers(document: Mapping[str, Any]) -> NDArray[Any]:
    name, values = document["dtype"], document["data"]
    kind = bool if name == "BOOL" else int
    bounds = np.iinfo(DTYPES[name]) if kind is int else None
    for i, value in enumerate(values):
        if type(value) is not kind or (bounds and not bounds.min <= value <= bounds.max):
            detail = f"is {value!r}, which {name} does not hold"
            raise FormatError("L3-VALUE-RANGE", detail, f"/data/{i}")
    return np.array(values, DTYPES[name])
