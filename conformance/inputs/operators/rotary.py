"""Rotary position embedding. R rotated pairs."""

from __future__ import annotations

import functools
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
    Strategy = st.SearchStrategy[Any]

POSITIONS = (1023, 0, 1, 2, 15, 16, 255, 256, 257)
"""Borders at which positions are known to go wrong: low precision, tables, windows."""
_PAIRS = (1, 2, 4, 8, 32)
_TOKENS = (1, 2, 3, 9, 32, 33)
_KEPT = (2, 6)
_SPECIAL = (np.nan, np.inf, -np.inf)
_COPIED = (-0.0, 1e-40, -6e-8, np.nan, np.inf)
"""Numbers that arithmetic would change, and a copy does not; subnormal in some type."""


def rotations(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryEmbedding of X (B, H, T, K) at positions of a case; the last token's is its first.

    Every row of the batch has positions of its own, in any order. X lies in memory as (B, H, T, K)
    or, as models have it, as (B, T, H, K).

    Args:
        operators: the operators under check, for the type of the numbers.
        case: ``interleaved``; ``positions``, by default :data:`POSITIONS`; ``pairs``, how many of
            them a head may have.
    """
    positions = tuple(int(p) for p in case.get("positions", POSITIONS))

    def make(seed: int, sizes: tuple[int, ...], *, across: bool) -> OperatorCall:
        batch, heads, pairs, tokens = sizes
        numbers = Numbers(operators, seed)
        at = numbers.choice(positions, batch, tokens)
        at[:, -1] = positions[0]
        at[0, -1] = positions[-1]
        cos, sin = _tables(max(positions) + 1, pairs, operators.dtype.name)
        inputs = {
            "X": _laid_out(numbers.normal(batch, heads, tokens, 2 * pairs), across=across),
            "cos_cache": cos,
            "sin_cache": sin,
            "position_ids": at,
        }
        attributes = {"interleaved": int(case.get("interleaved", False))}
        return OperatorCall("RotaryEmbedding", 23, inputs, attributes)

    pairs = st.sampled_from([int(p) for p in case.get("pairs", _PAIRS)])
    sizes = st.tuples(st.integers(2, 3), st.integers(1, 4), pairs, st.sampled_from(_TOKENS))
    return st.builds(make, SEEDS, sizes, across=st.booleans())


@functools.lru_cache(maxsize=16)
def _tables(rows: int, pairs: int, dtype: str) -> tuple[Array, Array]:
    """Return cosines and sines of position * 10000**(-i / R), each (rows, R), never written to."""
    angle = np.outer(np.arange(rows), 10000.0 ** (-np.arange(pairs) / pairs))
    tables = [part(angle).astype(dtype) for part in (np.cos, np.sin)]
    for table in tables:
        table.setflags(write=False)
    return tables[0], tables[1]


def _laid_out(x_BHTK: Array, *, across: bool) -> Array:
    """Return the same numbers, where ``across`` with the heads of a token side by side."""
    if not across:
        return x_BHTK
    return np.ascontiguousarray(x_BHTK.swapaxes(1, 2)).swapaxes(1, 2)


def partial_rotations(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryEmbedding of the first channels of each head; the others hold numbers to be copied."""

    def widen(call: OperatorCall, seed: int, kept: int) -> OperatorCall:
        numbers, x = Numbers(operators, seed), call.inputs["X"]
        rest = numbers.normal(*x.shape[:-1], kept)
        with np.errstate(over="ignore", under="ignore"):  # what a type cannot hold is 0 in it
            rest[..., 0] = np.resize(np.array(_COPIED), x.shape[:-1])
        attributes = {**call.attributes, "rotary_embedding_dim": x.shape[-1]}
        wide = np.concatenate([x, rest], axis=-1)
        return OperatorCall("RotaryEmbedding", 23, {**call.inputs, "X": wide}, attributes)

    return st.builds(widen, rotations(operators, case), SEEDS, st.sampled_from(_KEPT))


def flat_rotations(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryEmbedding of X (B, T, H K), with the number of heads as an attribute."""

    def flatten(call: OperatorCall) -> OperatorCall:
        x = call.inputs["X"]
        batch, heads, tokens, _ = x.shape
        flat = np.ascontiguousarray(x.swapaxes(1, 2)).reshape(batch, tokens, -1)
        attributes = {**call.attributes, "num_heads": heads}
        return OperatorCall("RotaryEmbedding", 23, {**call.inputs, "X": flat}, attributes)

    return st.builds(flatten, rotations(operators, case))


def rotations_by_token(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryEmbedding without positions: cosines and sines (B, T, R) of each token."""

    def gather(call: OperatorCall) -> OperatorCall:
        inputs = dict(call.inputs)
        at = inputs.pop("position_ids")
        tables = {name: inputs[name][at] for name in ("cos_cache", "sin_cache")}
        return OperatorCall("RotaryEmbedding", 23, {**inputs, **tables}, call.attributes)

    return st.builds(gather, rotations(operators, case))


def special_rotations(operators: CheckedOperators, case: Mapping[str, Any]) -> Strategy:
    """RotaryEmbedding of X with NaN or infinity in a few channels, at positions that turn them."""

    def spoil(call: OperatorCall, seed: int, special: float) -> OperatorCall:
        x = call.inputs["X"].copy()
        places = Numbers(operators, seed).below(x.size, max(1, x.size // 8))
        x.flat[places] = special
        return with_inputs(call, X=x)

    return st.builds(spoil, rotations(operators, case), SEEDS, st.sampled_from(_SPECIAL))
