"""Softmax and log-softmax, by the settings of a case.

A setting is a value, or a list of values to draw from: ``classes``, ``rows`` and ``scale`` of the
logits, ``shift`` that is added to all of a row; ``axis`` and ``rank``, of which the axis is counted
from the end where it is negative; and the ``kind``: ``normal``; ``equal``, all of a row alike;
``gap``, one logit 200 above the others; ``tail``, whose probabilities fall to where the type ends;
``tied``, with two largest; ``bad``, with a NaN or an infinity in some rows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Settings = Mapping[str, Any]
    Strategy = st.SearchStrategy[Any]

_DEFAULTS: Settings = {
    "classes": [1, 2, 3, 4, 16, 17, 257, 1000],
    "rows": [1, 2, 3, 4],
    "scale": 3.0,
    "shift": 0.0,
    "rank": 2,
    "axis": -1,
    "kind": "normal",
    "bad": "nan",
}
_GAP = 200.0
_DEPTH = 110.0
"""How far the tail goes down: exp(-104) is float32's smallest number, halved."""


def rows_of_logits(operators: CheckedOperators, operator: str, case: Settings) -> Strategy:
    """Softmax or LogSoftmax over one axis of logits."""
    settings = {**_DEFAULTS, **case}
    drawn = st.fixed_dictionaries(
        {
            name: st.sampled_from(value if isinstance(value, list) else [value])
            for name, value in settings.items()
        }
    )
    return st.builds(partial(_call, operators, operator), SEEDS, drawn)


def _call(
    operators: CheckedOperators, operator: str, seed: int, settings: Settings
) -> OperatorCall:
    numbers, kind = Numbers(operators, seed), settings["kind"]
    lead = (2,) * (settings["rank"] - 2) + (settings["rows"],) * (settings["rank"] > 1)
    x = numbers.normal(*lead, settings["classes"], scale=settings["scale"], mean=settings["shift"])
    x = _KINDS[kind](x, settings) if kind != "normal" else x
    # The classes come last above; they are moved to the axis.
    x = np.ascontiguousarray(np.moveaxis(x, -1, settings["axis"]))
    return OperatorCall(operator, 13, {"input": x}, {"axis": settings["axis"]}, ("output",))


def _equal(x: Array, _: Settings) -> Array:
    return np.repeat(x[..., :1], x.shape[-1], axis=-1)


def _gap(x: Array, _: Settings) -> Array:
    x[..., x.shape[-1] // 2] += x.dtype.type(_GAP)
    return x


def _tail(x: Array, _: Settings) -> Array:
    return (x[..., :1] - np.linspace(0, _DEPTH, x.shape[-1])).astype(x.dtype)


def _tied(x: Array, _: Settings) -> Array:
    x[..., 0] = x[..., -1] = x.max(axis=-1)
    return x


def _bad(x: Array, settings: Settings) -> Array:
    x[0, ..., x.shape[-1] // 2] = float(settings["bad"])
    return x


_KINDS = {"equal": _equal, "gap": _gap, "tail": _tail, "tied": _tied, "bad": _bad}


def rows_with_holes(operators: CheckedOperators, operator: str, case: Settings) -> Strategy:
    """Softmax or LogSoftmax over rows in which some entries, never all, are minus infinity."""

    def make(call: OperatorCall, seed: int) -> OperatorCall:
        x = call.inputs["input"]
        kept = Numbers(operators, seed).mask(*x.shape)
        return with_inputs(call, input=np.where(kept, x, -np.inf).astype(x.dtype))

    return st.builds(make, rows_of_logits(operators, operator, case), SEEDS)
