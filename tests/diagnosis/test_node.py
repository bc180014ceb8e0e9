"""One node of a graph: an honest float32 answer is right, one that is a few roundings off is not.

Honest answers are NumPy's in float32. Wrong ones are off by 16 roundings, or computed in float16.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper

from conformance import spec
from conformance.diagnosis import formulas
from conformance.diagnosis.graph import contracts_by_type
from conformance.diagnosis.node import Node
from conformance.oracles.standard import OPERATORS

CONTRACTS = contracts_by_type(spec.load().contracts["fp32"], spec.load().contracts)
RNG = np.random.default_rng(11)
X, Y = (RNG.uniform(0.5, 4, (6, 50)).astype(np.float32) for _ in range(2))
AXIS = np.array([-1])
TWO = np.array(2.5, np.float32)

ARITHMETIC = {
    "Abs": (np.abs, [-X]),
    "Add": (np.add, [X, Y]),
    "Cos": (np.cos, [X * 30]),
    "Div": (np.divide, [X, Y]),
    "Exp": (np.exp, [X]),
    "Max": (np.maximum, [X, Y]),
    "Min": (np.minimum, [X, Y]),
    "Neg": (np.negative, [X]),
    "Pow": (np.power, [X, TWO]),
    "Reciprocal": (np.reciprocal, [X]),
    "ReduceMean": (lambda x, _: x.mean(-1, keepdims=True), [X, AXIS]),
    "ReduceSum": (lambda x, _: x.sum(-1, keepdims=True), [X, AXIS]),
    "Sin": (np.sin, [X * 30]),
    "Sqrt": (np.sqrt, [X]),
    "Sub": (np.subtract, [X, Y]),
    "MatMul": (np.matmul, [X, Y.T]),
    "Mul": (np.multiply, [X, Y]),
}


def node_of(operator, inputs, outputs=1, opset=20, domain="", **attributes):
    names = [f"x{i}" for i in range(len(inputs))]
    made = [f"y{i}" for i in range(outputs)]
    proto = helper.make_node(operator, names, made, "the_node", domain=domain, **attributes)
    return Node(proto, {"": opset, "acme": 1}, CONTRACTS), dict(zip(names, inputs, strict=True))


def judged(operator, inputs, *answers, **more):
    node, values = node_of(operator, inputs, len(answers), **more)
    return node.judged(values | {f"y{i}": answer for i, answer in enumerate(answers)})


def test_every_formula_is_tried_here_and_stands_in_for_no_row_of_the_oracle():
    own = {*formulas._ROUNDED, *formulas._EXACT, *formulas._REDUCED}
    assert own <= set(ARITHMETIC)
    assert not own & set(OPERATORS)


@pytest.mark.parametrize("operator", ARITHMETIC)
def test_an_honest_answer_is_within_its_bound(operator):
    compute, inputs = ARITHMETIC[operator]
    error = judged(operator, inputs, compute(*inputs))
    assert error.ok
    assert error.unit == "bounds"


@pytest.mark.parametrize("operator", ARITHMETIC)
def test_an_answer_of_a_narrower_type_leaves_its_bound(operator):
    compute, inputs = ARITHMETIC[operator]
    narrow = compute(*inputs).astype(np.float16).astype(np.float32)
    assert judged(operator, inputs, narrow).observed > 10


@pytest.mark.parametrize(
    "operator", sorted({*ARITHMETIC} - {"Cos", "Sin", "MatMul", "ReduceMean", "ReduceSum"})
)
def test_one_number_that_is_off_by_sixteen_roundings_leaves_its_bound(operator):
    """But where a bound is wider by right: of sums, and of large angles."""
    compute, inputs = ARITHMETIC[operator]
    answer = compute(*inputs).copy()
    answer[-1, -1] *= 1 + 2.0**-20
    error = judged(operator, inputs, answer)
    assert not error.ok
    assert error.where == f"y0[{answer.shape[0] - 1}, {answer.shape[1] - 1}]"


MOVES = {
    "Transpose": ([X], X.T.copy(), {"perm": [1, 0]}),
    "Concat": ([X, Y], np.concatenate([X, Y]), {"axis": 0}),
    "Reshape": ([X, np.array([10, -1])], X.reshape(10, -1), {}),
    "Where": ([X > 2, X, Y], np.where(X > 2, X, Y), {}),
    "Cast": ([X], X.astype(ml_dtypes.bfloat16), {"to": TensorProto.BFLOAT16}),
}


@pytest.mark.parametrize("operator", MOVES)
def test_what_moves_numbers_is_judged_bit_for_bit(operator):
    inputs, answer, attributes = MOVES[operator]
    assert judged(operator, inputs, answer, **attributes).observed == 0
    changed = answer.copy()
    changed[0, 0] += changed.dtype.type(2.0**-6)
    assert judged(operator, inputs, changed, **attributes).observed == 1


def test_integers_and_comparisons_are_judged_bit_for_bit():
    ints = np.arange(6)
    assert judged("Add", [ints, ints], ints + ints).observed == 0
    assert judged("Add", [ints, ints], ints + ints + 1).observed == 6
    assert judged("Less", [X, Y], X < Y).ok
    assert not judged("Less", [X, Y], ~(X < Y)).ok


def test_numbers_that_are_rounded_to_whole_ones_are_not_judged_bit_for_bit():
    """Honest runtimes divide by a scale, or multiply by its reciprocal."""
    scale = np.array(0.1, np.float32)
    codes = np.rint(X / scale).astype(np.int8)
    assert judged("QuantizeLinear", [X, scale, np.array(0, np.int8)], codes) is None
    assert judged("Shape", [X], np.array(X.shape)).observed == 0


def test_an_answer_of_another_shape_or_type_is_wrong_without_being_compared():
    assert judged("Add", [X, Y], (X + Y)[:2]).metric == "form"
    assert judged("Transpose", [X], X).metric == "form"
    assert not judged("Add", [X, Y], (X + Y)[:2]).ok


def test_nan_where_there_is_none_is_wrong():
    answer = X + Y
    answer[0, 0] = np.nan
    assert not judged("Add", [X, Y], answer).ok


def test_what_nobody_knows_is_not_judged():
    assert judged("Erf", [X], X) is None
    assert judged("FusedMagic", [X], X, domain="acme") is None
    assert judged("ReduceMean", [X], X.mean(keepdims=True)) is None


def test_in_fp64_nothing_rounds_but_a_cast_to_a_narrower_type():
    node, values = node_of("Sqrt", [X])
    assert np.array_equal(node.exact(values)["y0"], np.sqrt(X.astype(np.float64)))
    wide = {"x0": X / np.float64(3)}
    for kind, dtype in (("FLOAT", np.float64), ("FLOAT16", np.float16)):
        node, _ = node_of("Cast", [X], to=getattr(TensorProto, kind))
        answer = node.exact(wide)["y0"]
        assert answer.dtype == dtype
        assert np.array_equal(answer, wide["x0"].astype(dtype))


def test_what_nobody_judges_is_computed_by_the_standards_evaluator():
    node, values = node_of("Erf", [X])
    assert node.exact(values)["y0"].dtype == np.float64


def test_contracts_are_those_of_the_numbers_type_and_the_claimed_one_first():
    claimed = spec.load().contracts["tf32"]
    found = contracts_by_type(claimed, spec.load().contracts)
    assert found["float32"] is claimed
    assert found["float16"].name == "fp16"
    assert contracts_by_type(found["float16"], spec.load().contracts)["float32"].name == "fp32"
