"""The standard's operators as oracles: what a call has to answer, and how exactly.

Inputs are taken as they are, in their own rounded type, and computed with in fp64. Anything that
the rows of ``operators`` do not list is a fault of the suite's own data, and raises SpecError.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from conformance import precision
from conformance.errors import SpecError, did_you_mean
from conformance.oracles.operators import (
    activations,
    attention_rows,
    attention_variants,
    distances,
    linear,
    losses,
    norms,
    phases,
    quantised,
    rotary,
    routing,
    softmax,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from conformance.oracles.row import Operator
    from conformance.records import Contract, OperatorCall

    Array = NDArray[Any]

_FAMILIES = (
    linear,
    quantised,
    norms,
    rotary,
    phases,
    attention_rows,
    attention_variants,
    softmax,
    activations,
    routing,
    losses,
    distances,
)
OPERATORS: Mapping[str, Operator] = {
    name: row for family in _FAMILIES for name, row in family.OPERATORS.items()
}
"""The operators that the oracle knows, by the standard's names."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What one output has to be: ``value`` within ``bound``, of the same shape.

    A bound of 0 demands equality; infinite and NaN values have to be met exactly. Values are fp64,
    or integers, which are exact.
    """

    value: Array
    bound: Array
    dtype: str
    """The type that the output has to have."""


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
    return {name: _formed(contract, *answer[name]) for name in call.outputs}


def _fp64(array: Array) -> Array:
    exact = array.dtype == np.bool_ or np.issubdtype(array.dtype, np.integer)
    return array if exact else array.astype(np.float64)


def _attribute(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    return float(np.float32(value)) if isinstance(value, float) else value


def _formed(contract: Contract, value: Array, bound: Array, dtype: str = "") -> Expected:
    """Return what is expected, infinity where the output type cannot hold a finite value."""
    if np.issubdtype(value.dtype, np.integer):
        return Expected(value, np.zeros(value.shape), value.dtype.name)
    if contract.accumulation == "float64":
        bound = 2 * bound  # the oracle computes in fp64 as well, and errs by as much
    dtype = dtype or contract.output
    largest = float(ml_dtypes.finfo(precision.dtype(dtype)).max)
    threshold = largest * (1 + precision.unit_roundoff(dtype))
    overflow = np.isfinite(value) & (np.abs(value) >= threshold)
    value = np.where(overflow, np.copysign(np.inf, value), value)
    return Expected(value, np.where(overflow, 0.0, bound), dtype)


def _row(call: OperatorCall) -> Operator:
    """Return the table's row for a call, having checked every name in it."""
    row = OPERATORS.get(call.operator)
    if row is None or row.domain != call.domain:
        raise SpecError(
            f"the oracle has no operator {call.domain}::{call.operator}."
            f"{did_you_mean(call.operator, OPERATORS)}"
        )
    where = f"{call.operator}-{call.opset}"
    if not row.since <= call.opset < row.below:
        raise SpecError(f"{where}: the oracle knows opsets {row.since} to {row.below - 1}")
    early = {name for name, version in row.later.items() if call.opset < version}
    _known(where, "input", call.inputs, _without(early, (*row.required, *row.optional)))
    _known(where, "attribute", call.attributes, _without(early, row.attributes))
    _known(where, "output", call.outputs, row.outputs)
    missing = [name for name in row.required if name not in call.inputs]
    if missing:
        raise SpecError(f"{where}: input {missing[0]!r} is required and was not given")
    return row


def _without(early: set[str], names: Iterable[str]) -> list[str]:
    return [name for name in names if name not in early]


def _known(where: str, kind: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise SpecError(
                f"{where}: the oracle knows no {kind} {name!r}.{did_you_mean(name, known)}"
            )
