"""Precision contracts for tests."""

from __future__ import annotations

from conformance.records import Contract


def contract(name="float32", inner=None, accumulation="float32", **changes):
    """Return a contract with tensors of one type.

    Args:
        name: the type of inputs, weights and outputs.
        inner: the type of scores, probabilities and other results inside an operator; like
            ``name`` by default, the loosest.
        accumulation: the type of sums.
        changes: other terms.
    """
    inner = inner or name
    terms = {
        "name": name,
        "input": name,
        "weight": name,
        "accumulation": accumulation,
        "score": inner,
        "probability": inner,
        "intermediate": inner,
        "phase": "float64" if name == "float64" else "float32",
        "output": name,
        "noise_rms": 3.0,
        "noise_max": 4.0,
        "basis": "of a test",
    }
    return Contract(**{**terms, **changes})
