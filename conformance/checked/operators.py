"""A candidate's operators as a check sees them, and the oracle's exact outputs."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import evidence, precision
from conformance.candidate import method_of
from conformance.checked.form import copied, formed, guarded
from conformance.errors import MalformedOutput
from conformance.oracles import standard

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.candidate import Candidate
    from conformance.oracles.standard import Expected
    from conformance.records import Contract, OperatorCall

    Array = NDArray[Any]

_KEPT_ANSWERS = 16
"""How many of the oracle's latest answers are kept: a check asks twice for one call at most."""
_ROUNDINGS = 4
"""Roundings that a value may have had beyond the oracle's bound, which is for another value."""


class CheckedOperators:
    """A candidate's operators, and the oracle's."""

    def __init__(
        self,
        candidate: Candidate,
        contract: Contract,
        truths: RememberedTruths | None = None,
        who: str = "",
    ) -> None:
        self._candidate, self.contract, self.who = candidate, contract, who
        self._truths = truths or RememberedTruths(contract)
        self.dtype = precision.dtype(contract.input)

    def compute(self, call: OperatorCall) -> dict[str, Array]:
        """Ask the candidate for the outputs of one operator call, by formal name."""
        copies = {name: copied(array) for name, array in call.inputs.items()}
        own = dataclasses.replace(call, inputs=copies, attributes=dict(call.attributes))
        what = f"{self.who}: {call.operator}" if self.who else call.operator
        answer = guarded(what, lambda: method_of(self._candidate, "operator")(own))
        if not isinstance(answer, dict) or set(answer) != set(call.outputs):
            got = sorted(map(repr, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise MalformedOutput(
                f"{what}-{call.opset} answered {got}; wanted a dict with {call.outputs}"
            )
        truth = self.expected(call)
        outputs = {
            name: formed(name, answer[name], truth[name].value.shape, truth[name].dtype)
            for name in call.outputs
        }
        for name, array in outputs.items():
            evidence.answered(array, functools.partial(_scale, truth[name]))
        return outputs

    def expected(self, call: OperatorCall) -> dict[str, Expected]:
        """Ask the oracle for the exact outputs in fp64, each with its bound."""
        return self._truths.of(call)


class RememberedTruths:
    """The operator oracle, which keeps its latest answers."""

    def __init__(self, contract: Contract, keep: int = _KEPT_ANSWERS) -> None:
        self._contract, self._keep = contract, keep
        self._answers: OrderedDict[int, tuple[OperatorCall, dict[str, Expected]]] = OrderedDict()

    def of(self, call: OperatorCall) -> dict[str, Expected]:
        """Return the exact outputs of a call; the same call object is computed once."""
        if id(call) not in self._answers:
            with evidence.time_of("oracle"):
                self._answers[id(call)] = (call, standard.expected(call, self._contract))
            while len(self._answers) > self._keep:
                self._answers.popitem(last=False)
        return self._answers[id(call)][1]


def _scale(truth: Expected, value: Array) -> Array:
    """Return how far honest rounding carries an answer that should be another than the oracle's."""
    float_type = truth.dtype if precision.is_float(truth.dtype) else "float64"
    size = np.where(np.isfinite(value), np.abs(value), 0.0)
    return truth.bound + _ROUNDINGS * precision.unit_roundoff(float_type) * size
