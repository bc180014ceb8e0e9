"""Tensors in JSON: every array comes back bit for bit, and every contradiction is refused."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from conformance import schema
from conformance.errors import FormatError
from conformance.formats import tensor

SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def arrays(draw):
    dtype = draw(st.sampled_from(list(tensor.DTYPES.values())))
    shape = draw(SHAPES)
    if dtype.kind == "b":
        return draw(hnp.arrays(bool, shape))
    raw = draw(hnp.arrays(np.uint8, (*shape, dtype.itemsize)))
    return raw.reshape(-1).view(dtype).reshape(shape)


@given(arrays())
def test_array_comes_back_bit_for_bit(array):
    document = schema.parse(schema.dump(tensor.encode(array)))
    back = tensor.decode(document)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert back.tobytes() == array.tobytes()


def test_integers_are_readable_up_to_a_size():
    small = tensor.encode(np.arange(4096).reshape(64, 64))
    assert small["data"][:3] == [0, 1, 2]
    assert "data_b64" in tensor.encode(np.arange(4097))
    assert "data_b64" in tensor.encode(np.array([2**53]))
    assert "data_b64" in tensor.encode(np.array([-(2**63)]))
    assert tensor.encode(np.array([True, False])) == {
        "dtype": "BOOL",
        "shape": [2],
        "data": [True, False],
    }


def test_layout_and_byte_order_of_memory_do_not_matter():
    array = np.arange(6.0).reshape(2, 3)
    assert tensor.encode(array.T) == tensor.encode(np.ascontiguousarray(array.T))
    assert tensor.encode(array.astype(">f8")) == tensor.encode(array)


def test_bytes_are_little_endian():
    assert tensor.encode(np.array([1, -2], ml_dtypes.bfloat16))["data_b64"] == "gD8AwA=="


def test_decoded_array_may_be_written_to():
    array = tensor.decode(tensor.encode(np.zeros(2)))
    array[0] = 1
    assert array.tolist() == [1, 0]


@pytest.mark.parametrize(
    "array", [np.zeros(1, complex), np.array(["a"]), np.zeros((1,) * 9), np.array([None])]
)
def test_array_without_a_document_is_refused(array):
    with pytest.raises(FormatError):
        tensor.encode(array)


def test_axes_too_long_for_memory_are_refused():
    document = {"dtype": "U8", "shape": [0, 2**53 - 1, 2**53 - 1], "data": []}
    with pytest.raises(FormatError) as caught:
        tensor.decode(document)
    assert caught.value.code == "L3-TENSOR-SIZE"
