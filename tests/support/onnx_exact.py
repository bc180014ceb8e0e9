"""Operators of exported graphs that move numbers or combine two of them: one right answer each.

Movement and logic have to be exact; +, -, *, / and the square root correctly rounded (IEEE 754,
section 5.4), which the tensors' own type in NumPy is not trusted to be: they are computed wider,
where a second rounding changes nothing (Figueroa 1995: p >= 2 q + 2). Sine, cosine and a mean have
a bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from conformance import precision
from conformance.records import OperatorCall

TWO_ULP = 4
"""Roundings that a sine or cosine is allowed: math libraries promise one unit in the last place,
which is two, and narrow types add one more."""


@dataclass(frozen=True, slots=True)
class Case:
    """A call with one output, its right answer, and how many roundings it may be off."""

    call: OperatorCall
    right: np.ndarray
    roundings: float = 0.0


def special(dtype):
    """Return numbers on which implementations differ, in a type."""
    kind = precision.dtype(dtype)
    info = ml_dtypes.finfo(kind)
    sizes = [0.0, 1.0, 1 / 3, 2.5, 255.0, 257.0, 1e4, float(info.max), float(info.tiny)]
    sizes += [float(info.smallest_subnormal), float(info.tiny) / 2, float(info.eps), np.inf]
    with np.errstate(over="ignore"):
        signed = np.array([*sizes, *(-size for size in sizes), np.nan])
        return signed.astype(kind)


def numbers(dtype, *shape, scale=1.0, seed=7):
    drawn = np.random.default_rng(seed).standard_normal(shape) * scale
    return drawn.astype(precision.dtype(dtype))


def pairs(dtype):
    """Return every pair of special numbers, and random ones, as two arrays."""
    one = special(dtype)
    left, right = (x.ravel() for x in np.meshgrid(one, one))
    drawn = [numbers(dtype, 4096, scale=8.0, seed=seed) for seed in (1, 2)]
    return np.concatenate([left, drawn[0]]), np.concatenate([right, drawn[1]])


_WIDER = {"float16": np.float64, "bfloat16": np.float64, "float32": np.float64}
_ARITHMETIC = {
    ("Add", 14): np.add,
    ("Sub", 14): np.subtract,
    ("Mul", 14): np.multiply,
    ("Div", 14): np.divide,
}


def _rounded(exact, dtype):
    with np.errstate(all="ignore"):
        return np.asarray(exact).astype(precision.dtype(dtype))


def _wide(x, dtype):
    return x.astype(_WIDER.get(dtype, np.float64))  # float64 itself: NumPy follows IEEE 754


def cases(dtype) -> list[Case]:
    """Return the cases of a type; those of integers and booleans come with float32."""
    found = [*_arithmetic(dtype), *_curves(dtype), *_movement(dtype), *_casts(dtype)]
    return found + (_logic() if dtype == "float32" else [])


def _call(name, opset, inputs, output, attributes=None):
    return OperatorCall(name, opset, inputs, attributes or {}, (output,))


def _arithmetic(dtype):
    a, b = pairs(dtype)
    with np.errstate(all="ignore"):
        for (name, opset), function in _ARITHMETIC.items():
            right = _rounded(function(_wide(a, dtype), _wide(b, dtype)), dtype)
            yield Case(_call(name, opset, {"A": a, "B": b}, "C"), right)
        yield Case(
            _call("Sqrt", 13, {"X": np.abs(a)}, "Y"),
            _rounded(np.sqrt(np.abs(_wide(a, dtype))), dtype),
        )


def _curves(dtype):
    """Sine and cosine of angles as rotary phases are, and a mean as a norm takes."""
    x = np.concatenate([numbers(dtype, 512, scale=3.0), numbers(dtype, 512, scale=3000.0)])
    for name, function in (("Cos", np.cos), ("Sin", np.sin)):
        right = function(_wide(x, dtype))
        yield Case(_call(name, 22, {"input": x}, "output"), right, TWO_ULP)
    rows = numbers(dtype, 64, 96, scale=2.0) ** 2
    axes = np.array([-1])
    terms = rows.shape[-1]
    narrow = precision.accumulation(terms, precision.unit_roundoff(dtype), rows.size)
    allowed = 2 + narrow / precision.unit_roundoff(dtype)  # squares: no cancellation
    call = _call("ReduceMean", 18, {"data": rows, "axes": axes}, "reduced")
    yield Case(call, _wide(rows, dtype).mean(-1, keepdims=True), allowed)


def _movement(dtype):
    x = np.resize(special(dtype), (2, 3, 4))
    flag = np.arange(24).reshape(2, 3, 4) % 3 == 0
    ints = np.array
    yield Case(
        _call("Reshape", 21, {"data": x, "shape": ints([6, -1])}, "reshaped"), x.reshape(6, 4)
    )
    yield Case(
        _call("Transpose", 21, {"data": x}, "transposed", {"perm": [1, 0, 2]}), x.transpose(1, 0, 2)
    )
    yield Case(_call("Unsqueeze", 21, {"data": x, "axes": ints([1])}, "expanded"), x[:, None])
    yield Case(_call("Squeeze", 21, {"data": x[:1], "axes": ints([0])}, "squeezed"), x[0])
    yield Case(
        _call("Expand", 13, {"input": x[:1], "shape": ints([2, 3, 4])}, "output"),
        np.broadcast_to(x[:1], x.shape),
    )
    bounds = {"starts": ints([1]), "ends": ints([2**62]), "axes": ints([2])}
    yield Case(_call("Slice", 13, {"data": x, **bounds}, "output"), x[:, :, 1:])
    yield Case(
        _call("Where", 16, {"condition": flag, "X": x, "Y": -x}, "output"), np.where(flag, x, -x)
    )
    yield Case(_call("Concat", 13, {"inputs": x}, "concat_result", {"axis": 1}), x)
    right = ints(x.shape, dtype=np.int64)
    yield Case(_call("Shape", 21, {"data": x}, "shape"), right)
    data, indices = numbers(dtype, 9, 4), ints([[0, 8, -1], [3, 3, -9]])
    yield Case(_call("Gather", 13, {"data": data, "indices": indices}, "output"), data[indices])
    halves = _call("Split", 18, {"input": x}, "outputs", {"axis": 2, "num_outputs": 1})
    yield Case(halves, x)


def _casts(dtype):
    import onnx  # noqa: PLC0415  # for the numbers of types

    x = np.concatenate([special("float32"), numbers("float32", 4096, scale=300.0)])
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, 1 + 2**-11, 1 + 3 * 2**-11, 65520, 65519.99])
    x = np.concatenate([x, ties.astype(np.float32)])
    to = onnx.helper.np_dtype_to_tensor_dtype(precision.dtype(dtype))
    yield Case(_call("Cast", 21, {"input": x}, "output", {"to": int(to)}), _rounded(x, dtype))
    back = special(dtype)
    single = int(onnx.TensorProto.FLOAT)
    yield Case(
        _call("Cast", 21, {"input": back}, "output", {"to": single}), _rounded(back, "float32")
    )
    places = np.array([0, 1, 255, 256, 257, 4095, 2**24 + 1, 2**31 - 1])
    yield Case(_call("Cast", 21, {"input": places}, "output", {"to": to}), _rounded(places, dtype))


def _logic() -> list[Case]:
    a, b = (np.array(x) for x in ([0, 1, 5, -3, 2**62], [0, 2, 5, -4, 2**62 + 1]))
    p, q = a == 0, b == 2
    return [
        Case(_call("Equal", 19, {"A": a, "B": b}, "C"), a == b),
        Case(_call("LessOrEqual", 16, {"A": a, "B": b}, "C"), a <= b),
        Case(_call("And", 7, {"A": p, "B": q}, "C"), p & q),
        Case(_call("Or", 7, {"A": p, "B": q}, "C"), p | q),
        Case(_call("Not", 1, {"X": p}, "Y"), ~p),
        Case(_range(3, 17, 2), np.arange(3, 17, 2)),
    ]


def _range(start: int, limit: int, delta: int) -> Any:
    given = {"start": start, "limit": limit, "delta": delta}
    return _call("Range", 11, {name: np.array(x) for name, x in given.items()}, "output")


def roundings_off(observed, case):
    """Return how many roundings each number is off; infinity where it is a special one.

    One infinity, of no shape, where the shape or the type differs.
    """
    right = case.right
    wanted_type = right.dtype if case.roundings == 0 else observed.dtype
    if observed.shape != right.shape or observed.dtype != wanted_type:
        return np.array(np.inf)
    if right.dtype.kind in "iub":
        return np.where(observed == right, 0.0, np.inf)
    seen, exact = (np.asarray(x, dtype=np.float64) for x in (observed, right))
    # A zero of the other sign is another number to whoever divides by it.
    same = (seen == exact) & (np.signbit(seen) == np.signbit(exact))
    same |= np.isnan(seen) & np.isnan(exact)
    info = ml_dtypes.finfo(observed.dtype)
    size = np.maximum(np.abs(exact), float(info.tiny)) * float(info.eps) / 2
    finite = np.isfinite(seen) & np.isfinite(exact) & (seen != exact)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(same, 0.0, np.where(finite, np.abs(seen - exact) / size, np.inf))
