"""The vectors of ``node_vectors`` on ONNX Runtime: who is right, the runtime or the vector?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import onnxruntime
from node_vectors import UNKNOWN, Vector, evaluators_contract, rho, vectors

from conformance import precision, spec
from conformance.adapters import _onnx_operators
from conformance.adapters import onnxruntime as adapter
from conformance.oracles.standard import expected

_SILENT = 4

OK = "ok"
NO_KERNEL = "no kernel"
RUNTIME = "ONNX Runtime"
VECTOR = "the vector"
TOLERANCE = "the tolerance"
BOTH = "both"


@dataclass(frozen=True, slots=True)
class Compared:
    """One vector: the runtime's answer and the vector's, each against the oracle."""

    vector: Vector
    refusal: str
    """Why the runtime gave no answer, in its first words; empty where it gave one."""
    near: bool
    """Whether the runtime's answer lies within the package's own tolerance of the vector's."""
    vector_rho: float
    """The vector's error in bounds of its evaluator's contract: everything rounded to the type."""
    runtime_rho: float
    """The runtime's error in bounds of what its adapter claims; NaN where it gave none."""
    difference: float
    """The largest difference of the two answers, in roundings (to nearest) of the larger one."""

    @property
    def at_fault(self) -> str:
        """Which side is wrong by the oracle, where something is not as it should be."""
        if "NOT_IMPLEMENTED" in self.refusal:
            return NO_KERNEL
        wrong = self.vector_rho > 1, not self.runtime_rho <= 1
        if any(wrong):
            return {(True, True): BOTH, (True, False): VECTOR, (False, True): RUNTIME}[wrong]
        return OK if self.near else TOLERANCE


@cache
def compared() -> tuple[Compared, ...]:
    """Run every vector on ONNX Runtime's CPU provider, one thread."""
    return tuple(_compare(vector) for vector in vectors() if vector.name not in UNKNOWN)


def _compare(vector: Vector) -> Compared:
    theirs = rho(vector.answered, expected(vector.call, evaluators_contract(vector.dtype)))
    try:
        observed = _run(vector)
    except Exception as error:  # noqa: BLE001  # the runtime's own exceptions share no base class
        refusal = str(error).replace("\n", " ")
        return Compared(vector, refusal, near=False, vector_rho=theirs, **_NOTHING)
    claims = adapter._CLAIMS[vector.dtype]
    wanted = expected(vector.call, spec.contract_of(spec.load(), claims))
    pairs = [(observed[name], answer) for name, answer in vector.answered.items()]
    return Compared(
        vector,
        "",
        near=all(_near(one, other, vector.tolerance) for one, other in pairs),
        vector_rho=theirs,
        runtime_rho=rho(observed, wanted),
        difference=max(_roundings(one, other) for one, other in pairs),
    )


_NOTHING = {"runtime_rho": np.nan, "difference": np.nan}


def _run(vector: Vector) -> dict[str, np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        vector.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in vector.model.graph.input]
    given = zip(names, vector.call.inputs.values(), strict=True)
    feed = {name: _onnx_operators._value(array) for name, array in given}
    answers = session.run_with_ort_values([o.name for o in vector.model.graph.output], feed)
    arrays = [_onnx_operators._array(value) for value in answers]
    return dict(zip(vector.answered, arrays, strict=True))


def _near(one: np.ndarray, other: np.ndarray, tolerance: tuple[float, float]) -> bool:
    """Return what the package's own runner would say."""
    relative, absolute = tolerance
    same_form = one.shape == other.shape and one.dtype == other.dtype
    wide = (array.astype(np.float64) for array in (one, other))
    return same_form and np.allclose(*wide, rtol=relative, atol=absolute, equal_nan=True)


def _roundings(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape or one.dtype.kind in "iub":
        return np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = [array.astype(np.float64) for array in (one, other)]
        gap = np.abs(wide[0] - wide[1])
        size = np.maximum(*map(np.abs, wide)) * precision.unit_roundoff(one.dtype.name)
        ratio = np.where(gap == 0, 0.0, gap / size)
    return float(np.nan_to_num(ratio, nan=0.0, posinf=np.inf).max(initial=0.0))


def rounded_once_is_refused(vector: Vector) -> bool:
    """Return whether the package's tolerance refuses the exact answer, rounded once to the type.

    Nothing can be more right than that.
    """
    wanted = expected(vector.call, evaluators_contract(vector.dtype))
    with np.errstate(over="ignore"):
        exact = {name: y.value.astype(precision.dtype(y.dtype)) for name, y in wanted.items()}
    return not all(
        _near(exact[name], answer, vector.tolerance) for name, answer in vector.answered.items()
    )
