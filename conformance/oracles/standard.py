"""The ONNX standard's operators as oracles: what a call has to answer, and how exactly.

Inputs are taken as they are, in their own rounded type, and computed with in fp64. Decisions about
the text of the standard stand where they are made, marked ``Decision``. Names, versions, formal
inputs and attributes stand in one table at the end; anything that it does not list is a fault of
the suite's own data, and raises SpecError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import precision
from conformance.errors import SpecError, did_you_mean
from conformance.oracles import bounds, operators, softmax_bounds
from conformance.oracles.standard_attention import attention

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.records import Contract, OperatorCall

    Array = NDArray[Any]
    Inputs = Mapping[str, Array]
    Attributes = Mapping[str, Any]
    Answer = dict[str, tuple[Array, Array]]
    Compute = Callable[[Inputs, Attributes, Contract], Answer]


@dataclass(frozen=True, slots=True)
class Expected:
    """What one output has to be: ``value`` within ``bound``, both fp64 and of the same shape.

    A bound of 0 demands equality; infinite and NaN values have to be met exactly.
    """

    value: Array
    bound: Array


def expected(call: OperatorCall, contract: Contract) -> dict[str, Expected]:
    """Return what a call has to answer under a precision contract, by formal output name.

    Raises:
        SpecError: the operator, its version, an input, an attribute or an output is not one that
            this oracle knows.
    """
    row = _row(call)
    inputs = {name: _fp64(array) for name, array in call.inputs.items()}
    attributes = {**row.attributes, **{k: _attribute(v) for k, v in call.attributes.items()}}
    answer = row.compute(inputs, attributes, contract)
    return {name: _representable(*answer[name], contract) for name in call.outputs}


def _fp64(array: Array) -> Array:
    exact = array.dtype == np.bool_ or np.issubdtype(array.dtype, np.integer)
    return array if exact else array.astype(np.float64)


def _attribute(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    return float(np.float32(value)) if isinstance(value, float) else value


def _representable(value: Array, bound: Array, contract: Contract) -> Expected:
    """Return infinity where the output type cannot hold a finite value (rounding to nearest)."""
    largest = float(ml_dtypes.finfo(precision.dtype(contract.output)).max)
    threshold = largest * (1 + precision.unit_roundoff(contract.output))
    overflow = np.isfinite(value) & (np.abs(value) >= threshold)
    value = np.where(overflow, np.copysign(np.inf, value), value)
    return Expected(value, np.where(overflow, 0.0, bound))


def _gather(inputs: Inputs, attributes: Attributes, _: Contract) -> Answer:
    data, indices, axis = inputs["data"], inputs["indices"], attributes["axis"]
    size = data.shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise SpecError(
            f"Gather: indices lie in {indices.min()}..{indices.max()}; an axis of {size} allows "
            f"{-size}..{size - 1}"
        )
    value = np.take(data, indices, axis=axis)
    return {"output": (value, bounds.embedding(value))}


def _matmul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a, b = inputs["A"], inputs["B"]
    return {"Y": (np.asarray(a @ b), np.asarray(bounds.matmul(a, b, contract)))}


def _mul(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    a, b = inputs["A"], inputs["B"]
    return {"C": (a * b, bounds.product(a, b, contract))}


def _rms_normalization(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    if attributes["stash_type"] != 1:
        raise SpecError(
            f"RMSNormalization: stash_type {attributes['stash_type']}; the oracle knows 1 (float)"
        )
    x, epsilon = inputs["X"], attributes["epsilon"]
    axis = attributes["axis"] % x.ndim
    # Decision: scale may be of any shape that broadcasts to the normalised axes.
    scale = np.broadcast_to(inputs["scale"], x.shape).reshape(*x.shape[:axis], -1)
    rows = x.reshape(*x.shape[:axis], -1)
    value = operators.rms_norm(rows, scale, epsilon)
    bound = bounds.rms_norm(rows, scale, epsilon, contract)
    return {"Y": (value.reshape(x.shape), bound.reshape(x.shape))}


def _rotary_embedding(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, flat = inputs["X"], inputs["X"].ndim == 3
    if flat:
        x = x.reshape(*x.shape[:2], attributes["num_heads"], -1).swapaxes(1, 2)
    cos, sin = inputs["cos_cache"], inputs["sin_cache"]
    if "position_ids" in inputs:
        cos, sin = (operators.embedding(cache, inputs["position_ids"]) for cache in (cos, sin))
    # Decision: 0 stands for the whole head, as in the standard's own algorithm.
    pairs = (attributes["rotary_embedding_dim"] or x.shape[-1]) // 2
    if cos.shape[-1] != pairs:
        raise SpecError(
            f"RotaryEmbedding: cos_cache has {cos.shape[-1]} columns for {pairs} rotated pairs"
        )
    interleaved = bool(attributes["interleaved"])
    value = operators.rotary(x, cos, sin, interleaved=interleaved)
    bound = bounds.rotary(x, cos, sin, contract, interleaved=interleaved)
    if flat:
        value, bound = (y.swapaxes(1, 2).reshape(inputs["X"].shape) for y in (value, bound))
    return {"Y": (value, bound)}


def _softmax(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, axis = inputs["input"], attributes["axis"]
    # Decision: the text is silent on a row of -inf; by its formula it is 0 / 0, NaN.
    return {"output": (operators.softmax(x, axis), softmax_bounds.softmax(x, contract, axis))}


def _log_softmax(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, axis = inputs["input"], attributes["axis"]
    bound = softmax_bounds.log_softmax(x, contract, axis)
    return {"output": (operators.log_softmax(x, axis), bound)}


def _softmax_cross_entropy(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    scores, labels = inputs["scores"], inputs["labels"]
    # ONNX has the classes on axis 1 and any number of axes behind; rows of classes are (N, C).
    rows_NC = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
    arguments = (rows_NC, labels.reshape(-1), inputs.get("weights"))
    reduction, ignored = attributes["reduction"], attributes["ignore_index"]
    reduction = reduction.decode() if isinstance(reduction, bytes) else reduction
    # Decision: with ignore_index and no weights, mean divides by the rows that count, as the
    # evaluator does; the text says ReduceMean(L). Where none counts the mean is 0 / 0, NaN.
    value = operators.cross_entropy(*arguments, ignore_index=ignored, reduction=reduction)
    bound = softmax_bounds.cross_entropy(
        *arguments, contract, ignore_index=ignored, reduction=reduction
    )
    shape = labels.shape if reduction == "none" else ()
    log_prob = operators.log_softmax(scores, 1), softmax_bounds.log_softmax(scores, contract, 1)
    return {"output": (value.reshape(shape), bound.reshape(shape)), "log_prob": log_prob}


def _sigmoid(inputs: Inputs, _: Attributes, contract: Contract) -> Answer:
    return {"Y": (operators.sigmoid(inputs["X"]), bounds.sigmoid(inputs["X"], contract))}


def _swish(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    x, alpha = inputs["X"], attributes["alpha"]
    return {"Y": (operators.silu(x, alpha), bounds.silu(x, contract, alpha))}


@dataclass(frozen=True, slots=True)
class Operator:
    """A row of the table: which versions, with which formal names and attributes' defaults."""

    since: int
    below: int
    required: tuple[str, ...]
    optional: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    compute: Compute


_ANY = 10**6
"""No later version of the operator is known to differ."""

OPERATORS: Mapping[str, Operator] = {
    "Gather": Operator(13, _ANY, ("data", "indices"), (), ("output",), {"axis": 0}, _gather),
    "MatMul": Operator(13, _ANY, ("A", "B"), (), ("Y",), {}, _matmul),
    "Mul": Operator(13, _ANY, ("A", "B"), (), ("C",), {}, _mul),
    "RMSNormalization": Operator(
        23,
        _ANY,
        ("X", "scale"),
        (),
        ("Y",),
        {"axis": -1, "epsilon": float(np.float32(1e-5)), "stash_type": 1},
        _rms_normalization,
    ),
    "RotaryEmbedding": Operator(
        23,
        _ANY,
        ("X", "cos_cache", "sin_cache"),
        ("position_ids",),
        ("Y",),
        {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
        _rotary_embedding,
    ),
    "Attention": Operator(
        23,
        25,
        ("Q", "K", "V"),
        ("attn_mask", "past_key", "past_value"),
        ("Y", "present_key", "present_value", "qk_matmul_output"),
        {
            "is_causal": 0,
            "kv_num_heads": None,
            "q_num_heads": None,
            "qk_matmul_output_mode": 0,
            "scale": None,
            "softcap": 0.0,
            "softmax_precision": None,
        },
        attention,
    ),
    "Softmax": Operator(13, _ANY, ("input",), (), ("output",), {"axis": -1}, _softmax),
    "LogSoftmax": Operator(13, _ANY, ("input",), (), ("output",), {"axis": -1}, _log_softmax),
    "SoftmaxCrossEntropyLoss": Operator(
        13,
        _ANY,
        ("scores", "labels"),
        ("weights",),
        ("output", "log_prob"),
        {"ignore_index": None, "reduction": "mean"},
        _softmax_cross_entropy,
    ),
    "Sigmoid": Operator(13, _ANY, ("X",), (), ("Y",), {}, _sigmoid),
    "Swish": Operator(24, _ANY, ("X",), (), ("Y",), {"alpha": 1.0}, _swish),
}
"""The operators that the oracle knows, by the standard's names."""


def _row(call: OperatorCall) -> Operator:
    """Return the table's row for a call, having checked every name in it."""
    if call.domain or call.operator not in OPERATORS:
        raise SpecError(
            f"the oracle has no operator {call.domain}::{call.operator}."
            f"{did_you_mean(call.operator, OPERATORS)}"
        )
    row = OPERATORS[call.operator]
    where = f"{call.operator}-{call.opset}"
    if not row.since <= call.opset < row.below:
        raise SpecError(f"{where}: the oracle knows opsets {row.since} to {row.below - 1}")
    _known(where, "input", call.inputs, (*row.required, *row.optional))
    _known(where, "attribute", call.attributes, row.attributes)
    _known(where, "output", call.outputs, row.outputs)
    missing = [name for name in row.required if name not in call.inputs]
    if missing:
        raise SpecError(f"{where}: input {missing[0]!r} is required and was not given")
    return row


def _known(where: str, kind: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise SpecError(
                f"{where}: the oracle knows no {kind} {name!r}.{did_you_mean(name, known)}"
            )
