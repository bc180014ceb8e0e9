"""Attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers, with_inputs
from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]


def attentions(
    operators: CheckedOperators,
    regime: str,
    *,
    group: int = 1,
    causal: bool = False,
    scaled: bool = False,
) -> Strategy:
    """Attention over Q (B, H, T, K), K and V (B, G, S, K), with H = group * G.

    Args:
        operators: the operators under check, for the type of the numbers.
        regime: ``flat`` (scores near 0), ``plain`` or ``sharp`` (scores of some tens).
        group: query heads for each key/value head.
        causal: is_causal with as many keys as queries.
        scaled: give the scale; else the standard's default is meant.
    """
    size = {"flat": 0.1, "plain": 1.0, "sharp": 3.0}[regime]

    def make(seed: int, heads: int, dim: int, queries: int, keys: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        keys = queries if causal else keys
        inputs = {
            "Q": numbers.normal(2, heads * group, queries, dim, scale=size),
            "K": numbers.normal(2, heads, keys, dim, scale=size),
            "V": numbers.normal(2, heads, keys, dim),
        }
        attributes: dict[str, Any] = {"is_causal": 1} if causal else {}
        attributes |= {"scale": 0.37} if scaled else {}
        return OperatorCall("Attention", 23, inputs, attributes)

    dims = st.sampled_from([1, 2, 3, 8, 16, 24, 64])
    lengths = st.sampled_from([1, 2, 3, 5, 16, 17, 33])
    return st.builds(make, SEEDS, st.integers(1, 3), dims, lengths, lengths)


def one_hot_values(call: OperatorCall) -> OperatorCall:
    """Return the same attention with V = identity, so that the output is the probabilities."""
    keys = call.inputs["V"]
    batch, heads, length, _ = keys.shape
    identity = np.broadcast_to(np.eye(length, dtype=keys.dtype), (batch, heads, length, length))
    return with_inputs(call, V=np.ascontiguousarray(identity))


def masked_attentions(operators: CheckedOperators, kind: str) -> Strategy:
    """Attention with a mask (T, S) that hides some keys of each query, never all of them.

    Args:
        operators: the operators under check, for the type of the numbers.
        kind: ``boolean``, or ``additive`` with minus infinity where a key is hidden.
    """

    def mask(call: OperatorCall, seed: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        queries, keys = call.inputs["Q"].shape[2], call.inputs["K"].shape[2]
        kept = numbers.mask(queries, keys)
        if kind == "boolean":
            return with_inputs(call, attn_mask=kept)
        added = np.where(kept, numbers.normal(queries, keys), -np.inf)
        return with_inputs(call, attn_mask=added.astype(operators.dtype))

    return st.builds(mask, attentions(operators, "plain"), SEEDS)


def hidden_key_attentions(operators: CheckedOperators, kind: str) -> Strategy:
    """Attention with a mask that hides the same keys from every query, the last one at least."""

    def mask(call: OperatorCall, seed: int) -> OperatorCall:
        numbers = Numbers(operators, seed)
        queries, keys = call.inputs["Q"].shape[2], call.inputs["K"].shape[2]
        kept = numbers.mask(1, keys)
        kept[0, -1] = False
        kept[0, 0] = True
        whole = np.repeat(kept, queries, axis=0)
        if kind == "boolean":
            return with_inputs(call, attn_mask=whole)
        added = np.where(whole, 0.0, -np.inf).astype(operators.dtype)
        return with_inputs(call, attn_mask=added)

    two_keys = attentions(operators, "plain").filter(lambda c: c.inputs["K"].shape[2] > 1)
    return st.builds(mask, two_keys, SEEDS)


def poisons(dtype: np.dtype[Any]) -> list[float]:
    """Return the finite numbers to put under a mask, those that the type has."""
    largest = float(ml_dtypes.finfo(dtype).max)
    return [poison for poison in (1e3, -1e30) if abs(poison) <= largest]


def poisoned(call: OperatorCall, poison: float) -> OperatorCall:
    """Return the same attention with keys and values that every query's mask hides overwritten."""
    mask = call.inputs["attn_mask"]
    hidden = ~mask[0] if mask.dtype == np.bool_ else np.isneginf(mask[0])
    keys, values = call.inputs["K"].copy(), call.inputs["V"].copy()
    keys[:, :, hidden], values[:, :, hidden] = poison, poison
    return with_inputs(call, K=keys, V=values)
