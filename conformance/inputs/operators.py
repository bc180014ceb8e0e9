"""Calls of the standard's operators, generated: shapes and regimes by hypothesis, numbers by seed.

A regime is part of an input's meaning: faults that are invisible on ordinary data (a wrong epsilon
at unit variance, a missing softcap on small scores) are plain to see on the data that they matter
for. Shape letters: B batch, T queries, S keys, H query heads, G key/value heads, K head dim,
N rows, D features, C classes, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

from conformance.records import OperatorCall

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]

POSITIONS = (0, 1, 2, 15, 16, 255, 256, 257, 1023)
"""Borders at which positions are known to go wrong: low precision, tables, windows."""

_SEEDS = st.integers(0, 2**32 - 1)


class _Numbers:
    """Random arrays of one call, all from one seed."""

    def __init__(self, operators: CheckedOperators, seed: int) -> None:
        self._random = np.random.Generator(np.random.Philox(seed))
        self._dtype = operators.dtype

    def normal(self, *shape: int, scale: float = 1.0, mean: float = 0.0) -> Array:
        return (self._random.standard_normal(shape) * scale + mean).astype(self._dtype)

    def below(self, bound: int, *shape: int) -> Array:
        return self._random.integers(0, bound, shape, dtype=np.int64)

    def choice(self, values: tuple[int, ...], *shape: int) -> Array:
        return self._random.choice(np.array(values, dtype=np.int64), shape)

    def mask(self, *shape: int) -> Array:
        """Return a boolean mask in which every row of the last axis keeps at least one."""
        kept = self._random.random(shape) < 0.6  # any share that mixes both
        kept[..., 0] |= ~kept.any(axis=-1)
        return np.asarray(self._random.permuted(kept, axis=-1))


def lookups(operators: CheckedOperators) -> Strategy:
    """Gather: a table (V, D) and indices (B, T) that hold the first and the last row."""

    def make(seed: int, rows: int, width: int, tokens: int) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        indices = numbers.below(rows, 2, tokens)
        indices[0, 0], indices[1, -1] = 0, rows - 1
        table = numbers.normal(rows, width)
        return OperatorCall(
            "Gather", 13, {"data": table, "indices": indices}, {"axis": 0}, ("output",)
        )

    return st.builds(make, _SEEDS, st.integers(1, 300), st.integers(1, 40), st.integers(1, 20))


def normalisations(operators: CheckedOperators, scale: float) -> Strategy:
    """RMSNormalization over D of X (N, D), whose RMS is ``scale``; some rows have a mean."""

    def make(seed: int, rows: int, width: int, mean: float, epsilon: float) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        x = numbers.normal(rows, width, scale=scale, mean=mean * scale)
        weight = numbers.normal(width, mean=1.0, scale=0.5)
        return OperatorCall(
            "RMSNormalization", 23, {"X": x, "scale": weight}, {"axis": -1, "epsilon": epsilon}
        )

    widths = st.sampled_from([1, 2, 3, 7, 64, 127, 128, 131, 1024])
    epsilons = st.sampled_from([1e-5, 1e-6])
    means = st.sampled_from([0.0, 3.0])
    return st.builds(make, _SEEDS, st.integers(1, 5), widths, means, epsilons)


def rotations(operators: CheckedOperators, *, interleaved: bool) -> Strategy:
    """RotaryEmbedding of X (B, H, T, K) at positions from :data:`POSITIONS`, in any order."""

    def make(seed: int, heads: int, half: int, tokens: int) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        angle = np.outer(np.arange(POSITIONS[-1] + 1), 10000.0 ** (-np.arange(half) / half))
        inputs = {
            "X": numbers.normal(2, heads, tokens, 2 * half),
            "cos_cache": np.cos(angle).astype(operators.dtype),
            "sin_cache": np.sin(angle).astype(operators.dtype),
            "position_ids": numbers.choice(POSITIONS, 2, tokens),
        }
        return OperatorCall("RotaryEmbedding", 23, inputs, {"interleaved": int(interleaved)})

    heads, halves, tokens = st.integers(1, 4), st.sampled_from([1, 2, 4, 8, 32]), st.integers(1, 9)
    return st.builds(make, _SEEDS, heads, halves, tokens)


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
        numbers = _Numbers(operators, seed)
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
    return st.builds(make, _SEEDS, st.integers(1, 3), dims, lengths, lengths)


def one_hot_values(call: OperatorCall) -> OperatorCall:
    """Return the same attention with V = identity, so that the output is the probabilities."""
    keys = call.inputs["V"]
    batch, heads, length, _ = keys.shape
    identity = np.broadcast_to(np.eye(length, dtype=keys.dtype), (batch, heads, length, length))
    return _with_inputs(call, V=np.ascontiguousarray(identity))


def masked_attentions(operators: CheckedOperators, kind: str) -> Strategy:
    """Attention with a mask (T, S) that hides some keys of each query, never all of them.

    Args:
        operators: the operators under check, for the type of the numbers.
        kind: ``boolean``, or ``additive`` with minus infinity where a key is hidden.
    """

    def mask(call: OperatorCall, seed: int) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        queries, keys = call.inputs["Q"].shape[2], call.inputs["K"].shape[2]
        kept = numbers.mask(queries, keys)
        if kind == "boolean":
            return _with_inputs(call, attn_mask=kept)
        added = np.where(kept, numbers.normal(queries, keys), -np.inf)
        return _with_inputs(call, attn_mask=added.astype(operators.dtype))

    return st.builds(mask, attentions(operators, "plain"), _SEEDS)


def hidden_key_attentions(operators: CheckedOperators, kind: str) -> Strategy:
    """Attention with a mask that hides the same keys from every query, the last one at least."""

    def mask(call: OperatorCall, seed: int) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        queries, keys = call.inputs["Q"].shape[2], call.inputs["K"].shape[2]
        kept = numbers.mask(1, keys)
        kept[0, -1] = False
        kept[0, 0] = True
        whole = np.repeat(kept, queries, axis=0)
        if kind == "boolean":
            return _with_inputs(call, attn_mask=whole)
        added = np.where(whole, 0.0, -np.inf).astype(operators.dtype)
        return _with_inputs(call, attn_mask=added)

    two_keys = attentions(operators, "plain").filter(lambda c: c.inputs["K"].shape[2] > 1)
    return st.builds(mask, two_keys, _SEEDS)


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
    return _with_inputs(call, K=keys, V=values)


def rows_of_logits(operators: CheckedOperators, operator: str, scale: float) -> Strategy:
    """Softmax or LogSoftmax over the last axis of (N, C), shifted far from zero at random."""

    def make(seed: int, rows: int, classes: int, shift: float) -> OperatorCall:
        x = _Numbers(operators, seed).normal(rows, classes, scale=scale, mean=shift)
        return OperatorCall(operator, 13, {"input": x}, {"axis": -1}, ("output",))

    classes = st.sampled_from([1, 2, 3, 4, 16, 17, 257, 1000])
    shifts = st.sampled_from([0.0, 100.0, -1e4, 1e4])
    return st.builds(make, _SEEDS, st.integers(1, 4), classes, shifts)


def rows_with_holes(operators: CheckedOperators) -> Strategy:
    """Softmax over rows in which some entries, never all, are minus infinity."""

    def make(call: OperatorCall, seed: int) -> OperatorCall:
        x = call.inputs["input"]
        kept = _Numbers(operators, seed).mask(*x.shape)
        return _with_inputs(call, input=np.where(kept, x, -np.inf).astype(x.dtype))

    return st.builds(make, rows_of_logits(operators, "Softmax", 3.0), _SEEDS)


def losses(operators: CheckedOperators) -> Strategy:
    """Mean SoftmaxCrossEntropyLoss of scores (N, C), some labels ignored, never all."""

    def make(seed: int, rows: int, classes: int, ignored: int) -> OperatorCall:
        numbers = _Numbers(operators, seed)
        labels = numbers.below(classes, rows)
        labels[: min(ignored, rows - 1)] = _IGNORED
        inputs = {"scores": numbers.normal(rows, classes, scale=3.0), "labels": labels}
        attributes = {"reduction": "mean", "ignore_index": _IGNORED}
        return OperatorCall("SoftmaxCrossEntropyLoss", 13, inputs, attributes, ("output",))

    classes = st.sampled_from([2, 3, 17, 512])
    return st.builds(make, _SEEDS, st.integers(2, 40), classes, st.integers(0, 30))


_IGNORED = -100
"""The label that PyTorch and Transformers ignore by default."""


def activations(operators: CheckedOperators) -> Strategy:
    """Swish with alpha 1 (SiLU) over ordinary numbers and the tails."""

    def make(seed: int, size: int) -> OperatorCall:
        x = _Numbers(operators, seed).normal(size, scale=4.0)
        tails = np.array([-90.0, -88.0, -20.0, -6.0, -2.0, -0.0, 0.0, 20.0, 90.0], dtype=x.dtype)
        return OperatorCall("Swish", 24, {"X": np.concatenate([x, tails])}, {"alpha": 1.0})

    return st.builds(make, _SEEDS, st.integers(1, 300))


def _with_inputs(call: OperatorCall, **inputs: Array) -> OperatorCall:
    return OperatorCall(
        call.operator, call.opset, {**call.inputs, **inputs}, call.attributes, call.outputs
    )
