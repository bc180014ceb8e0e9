"""Safetensors files made byte by byte: what the strict reader reads, and what it refuses."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from conformance import formats
from conformance.errors import FormatError, UsageError
from conformance.formats import safetensors as strict


def row(dtype, shape, start, end, **extra):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end], **extra}


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


A = row("F32", [2], 0, 8)


def write(folder, content):
    path = folder / "a.safetensors"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "code", "pointer"),
    [
        (b"", "L0-TRUNCATED", ""),
        (b"\0" * 7, "L0-TRUNCATED", ""),
        ((100).to_bytes(8, "little") + b"{}", "L0-HEADER-LENGTH", ""),
        ((2**63).to_bytes(8, "little") + b"{}", "L0-HEADER-LENGTH", ""),
        ((2**64 - 1).to_bytes(8, "little") + b"{}", "L0-HEADER-LENGTH", ""),
        (file_of(b""), "L0-HEADER-START", ""),
        (file_of(b" {}"), "L0-HEADER-START", ""),
        (file_of(b"\n{}"), "L0-HEADER-START", ""),
        (file_of(b"\xef\xbb\xbf{}"), "L0-HEADER-START", ""),
        (file_of(b"[]"), "L0-HEADER-START", ""),
        (file_of(b"{}\t"), "L0-HEADER-END", ""),
        (file_of(b"{}\0"), "L0-HEADER-END", ""),
        (file_of(b"{} {}"), "L1-TRAILING-DATA", ""),
        (file_of(b'{"a":' + json.dumps(A).encode() + b',"a":{}}'), "L1-DUPLICATE-KEY", ""),
        (file_of(b'{"__metadata__":{"k":"1","k":"2"}}'), "L1-DUPLICATE-KEY", "/__metadata__"),
        (file_of(b'{"\\ud800":{}}'), "L1-LONE-SURROGATE", ""),
        (file_of({"__metadata__": {"k": 1}}), "L2-TYPE", "/__metadata__/k"),
        (file_of({"": A}, b"\0" * 8), "L2-MIN-LENGTH", ""),
        (file_of({"a": {**A, "y": 1}}, b"\0" * 8), "L2-UNEVALUATED-PROPERTIES", "/a/y"),
        (file_of({"a": {**A, "dtype": "f32"}}, b"\0" * 8), "L2-ENUM", "/a/dtype"),
        (file_of({"a": {**A, "shape": [-2]}}, b"\0" * 8), "L2-MINIMUM", "/a/shape/0"),
        (file_of({"a": {**A, "shape": [2.0]}}, b"\0" * 8), "L3-INTEGER-FORM", "/a/shape/0"),
        (file_of({"a\0b": A}, b"\0" * 8), "L3-NAME", "/a\0b"),
        (file_of({"../../etc/x": A}, b"\0" * 8), "L3-NAME", "/..~1..~1etc~1x"),
        (file_of({"/etc/x": A}, b"\0" * 8), "L3-NAME", "/~1etc~1x"),
        (file_of({"a\\b": A}, b"\0" * 8), "L3-NAME", "/a\\b"),
        (file_of({"a": row("F32", [2], 8, 0)}, b"\0" * 8), "L3-OFFSETS", "/a"),
        (file_of({"a": row("F32", [3], 0, 8)}, b"\0" * 8), "L3-BYTE-LENGTH", "/a"),
        (file_of({"a": row("F32", [0], 0, 8)}, b"\0" * 8), "L3-BYTE-LENGTH", "/a"),
        (file_of({"a": row("F32", [2**31, 2**31], 0, 0)}), "L3-BYTE-LENGTH", "/a"),
        (
            file_of({"u": row("U8", [1], 0, 1), "a": row("F32", [1], 1, 5)}, b"\0" * 5),
            "L3-ALIGNMENT",
            "/a",
        ),
        (file_of({"a": A, "b": row("F32", [2], 4, 12)}, b"\0" * 12), "L3-OVERLAP", "/b"),
        (file_of({"a": A, "b": A}, b"\0" * 8), "L3-OVERLAP", "/b"),
        (file_of({"a": A, "b": row("F32", [1], 12, 16)}, b"\0" * 16), "L3-HOLE", "/b"),
        (file_of({"a": row("F32", [2], 8, 16)}, b"\0" * 16), "L3-HOLE", "/a"),
        (file_of({"a": A}, b"\0" * 7), "L3-TRUNCATED", "/a"),
        (file_of({"a": A}, b"\0" * 9), "L3-TRAILING-BYTES", ""),
        (file_of({}, b"\0"), "L3-TRAILING-BYTES", ""),
    ],
)
def test_malformed_file_is_refused(tmp_path, content, code, pointer):
    path = write(tmp_path, content)
    with pytest.raises(FormatError) as caught:
        formats.check_file("safetensors", path)
    assert (caught.value.code, caught.value.pointer) == (code, pointer)
    assert caught.value.file == str(path)


def test_file_of_the_reference_writer_is_read(tmp_path):
    tensors = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "i": np.array([-5, 7], np.int64),
        "empty": np.zeros((0, 4), np.float16),
        "scalar": np.array(2.5),
        "mask": np.array([True, False, True]),
        "half": np.array([1, -2, 3], ml_dtypes.bfloat16),
        "tiny": np.array([1, 448], ml_dtypes.float8_e4m3fn),
    }
    path = tmp_path / "a.safetensors"
    native = {k: v for k, v in tensors.items() if k not in {"half", "tiny"}}
    safetensors.numpy.save_file(native, path, {"format": "pt"})
    header = strict.read_header(path)
    assert set(header) == set(native)
    for name, expected in native.items():
        seen = strict.read_tensor(path, header[name])
        assert (seen.dtype, seen.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("BF16", ml_dtypes.bfloat16),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
    ],
)
def test_small_floats_travel_as_ml_dtypes(tmp_path, name, dtype):
    array = np.array([1, -2, 0.5], dtype)
    path = write(tmp_path, file_of({"a": row(name, [3], 0, array.nbytes)}, array.tobytes()))
    seen = strict.read_tensor(path, strict.read_header(path)["a"])
    assert seen.dtype == dtype
    assert seen.tobytes() == array.tobytes()


def test_tensor_is_a_read_only_view_of_the_file(tmp_path):
    path = write(tmp_path, file_of({"a": A}, np.array([1, 2], "<f4").tobytes()))
    seen = strict.read_tensor(path, strict.read_header(path)["a"])
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 3


def test_header_of_any_length_is_read(tmp_path):
    for spaces in range(8):  # early writers did not pad the header
        text = json.dumps({"a": A}).encode() + b" " * spaces
        path = write(tmp_path, file_of(text, np.array([1, 2], "<f4").tobytes()))
        np.testing.assert_array_equal(
            strict.read_tensor(path, strict.read_header(path)["a"]), [1, 2]
        )


def test_missing_file_is_a_usage_error():
    with pytest.raises(UsageError, match="cannot read"):
        strict.read_header(Path("absent.safetensors"))


offsets = st.integers(-1, 12)
rows = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "U8", "BF16", "x"]),
        "shape": st.lists(st.integers(0, 3), max_size=3),
        "data_offsets": st.lists(offsets, min_size=2, max_size=2),
    }
)


@given(st.dictionaries(st.sampled_from("abc"), rows), st.integers(0, 12))
def test_whatever_is_read_tiles_the_file(tmp_path_factory, header, length):
    path = tmp_path_factory.getbasetemp() / "fuzz.safetensors"
    path.write_bytes(file_of(header, b"\0" * length))
    try:
        tensors = strict.read_header(path)
    except FormatError:
        return
    assert sum(info.end - info.start for info in tensors.values()) == length
    for info in tensors.values():
        assert strict.read_tensor(path, info).shape == info.shape
