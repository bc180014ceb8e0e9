"""Closed forms: what the logits of planted models are, as formulas of the token ids.

Nothing is run and no weight is read: each formula is the mathematics of the model's recipe, in
fp64. A number is exact, or it is one of those that every implementation rounds, and then says by
how many roundings it may be off. What is hidden by the mask is as if it were not in the row, since
positions count the visible tokens.

Shape letters: N visible tokens of a row, V vocabulary, B batch, T tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.records import Contract

    Array = NDArray[Any]
    Ints = NDArray[np.int64]
    Formula = Callable[[Ints], tuple[Array, Array]]

VOCAB = 320
_FREQUENCY_F = 10000.0 ** (-np.arange(32) / 32)
"""Rotation of each of the 32 pairs of a head for one position (Su et al. 2021, section 3.2.2)."""
_EXACT_UP_TO = 64
"""Counts of tokens up to which 24 count / n has eight significant bits, where n is a power of 2."""
_ROUNDINGS_OF_A_MEAN = 6.0
"""A weight 1 / n is rounded, the head's output, what it adds to the stream, the sum of two layers,
the norm and the logit."""
_ROUNDINGS_OF_SOFT, _INNER_ROUNDINGS_OF_SOFT = 3.0, 5.0
"""Of the largest logit, in the contract's type and in the type of accumulation: twice the worst of
the honest. In such roundings the largest error was, over 25 batches of up to three rows of 32
tokens, padded and not (ONNX Runtime 1.32 optimised and not, torch 2.13 eager, Transformers 5.23
eager and SDPA, JAX 0.10, TensorFlow 2.21, on a CPU): at fp32 3.6 (`soft`, ONNX Runtime; the others
2.6) and 4.2 (`soft-rope`, all but JAX with 3.3), where both types are one; at fp16 1.2 and 1.3 and
at bf16 1.5 and 1.2, where the contract's type alone counts."""
_LARGEST = 24.0
"""The logit of a token that has all of the attention."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The logits (B, T, V) in fp64, how far each may be off, and where (B, T) they are defined."""

    value_BTV: Array
    bound_BTV: Array
    """Zero where the number is exact in every float type."""
    defined_BT: Array


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """One planted model's formula."""

    name: str
    formula: str
    """In words, for a reader."""
    sees: str
    """Which faults show on it."""
    blind: str
    """Which do not, by design."""
    of_row: Formula
    """Takes the visible tokens (N,); returns logits (N, V) and how many roundings each may have."""
    inner_roundings: float = 0.0
    """Roundings in the type of accumulation that rounded numbers may have beside their own."""
    reach: int = 0
    """How many tokens have to stand before the first whose logits are defined."""

    def answer(self, tokens_BT: Ints, mask_BT: Ints, contract: Contract) -> Answer:
        """Return the logits of a batch under a contract; hidden tokens have none.

        Args:
            tokens_BT: token ids below 320.
            mask_BT: 1 where a token is visible.
            contract: its types say how large a rounding is.
        """
        shape = (*tokens_BT.shape, VOCAB)
        value_BTV, roundings_BTV = np.zeros(shape), np.zeros(shape)
        defined_BT = np.zeros(tokens_BT.shape, bool)
        for row, tokens_T in enumerate(tokens_BT):
            visible_N = np.flatnonzero(mask_BT[row])
            value_BTV[row, visible_N], roundings_BTV[row, visible_N] = self.of_row(
                tokens_T[visible_N]
            )
            defined_BT[row, visible_N[self.reach :]] = True
        inner = self.inner_roundings * _LARGEST * precision.unit_roundoff(contract.accumulation)
        bound_BTV = roundings_BTV * _rounding(contract) + inner * (roundings_BTV > 0)
        return Answer(value_BTV, bound_BTV, defined_BT)


def _rounding(contract: Contract) -> float:
    """Return the unit roundoff of the widest rounding that the contract allows on the way."""
    types = (contract.input, contract.output, contract.score, contract.probability)
    return max(precision.unit_roundoff(name) for name in (*types, contract.intermediate))


def _one_hot(tokens_N: Ints) -> Array:
    return np.eye(VOCAB)[tokens_N]


def _exact(value_NV: Array) -> tuple[Array, Array]:
    return value_NV, np.zeros_like(value_NV)


def _bigram(tokens_N: Ints) -> tuple[Array, Array]:
    v = np.arange(VOCAB)
    return _exact(4.0 * ((37 * v + 101 * tokens_N[:, None]) % 127 - 63))


def _mean(tokens_N: Ints) -> tuple[Array, Array]:
    count_NV = np.cumsum(_one_hot(tokens_N), axis=0)
    seen_N1 = np.arange(1, len(tokens_N) + 1)[:, None]
    value_NV = _LARGEST * count_NV / seen_N1
    whole_N1 = (seen_N1 & (seen_N1 - 1) == 0) & (seen_N1 <= _EXACT_UP_TO)
    return value_NV, np.where(whole_N1, 0.0, _ROUNDINGS_OF_A_MEAN * value_NV)


def _previous(first: int, second: int) -> Formula:
    def of_row(tokens_N: Ints) -> tuple[Array, Array]:
        value_NV = np.zeros((len(tokens_N), VOCAB))
        for lag, logit in ((first, 16.0), (second, 8.0)):
            value_NV[lag:] += logit * _one_hot(tokens_N[: max(0, len(tokens_N) - lag)])
        return _exact(value_NV)

    return of_row


def _kv_heads(tokens_N: Ints) -> tuple[Array, Array]:
    """Logit 8 h + g tells whether query head h of 16 reads key/value head g of 8."""
    value_NV = np.zeros((len(tokens_N), VOCAB))
    for query in range(16):
        value_NV[:, 8 * query + query // 2] = _LARGEST  # (Ainslie et al. 2023, section 2.2)
    return _exact(value_NV)


def _eps(tokens_N: Ints) -> tuple[Array, Array]:
    """The norm gives 2**-4 / sqrt(4**-9 + 3 * 4**-9) = 16, and 0 elsewhere."""
    return _exact(16.0 * _one_hot(tokens_N))


def _attended(scores_NN: Array, tokens_N: Ints) -> Array:
    """Return the logits of causal attention to one-hot tokens, (N, V)."""
    later_NN = np.triu(np.full(scores_NN.shape, -np.inf), k=1)
    shifted_NN = scores_NN + later_NN
    weight_NN = np.exp(shifted_NN - shifted_NN.max(axis=-1, keepdims=True))
    weight_NN /= weight_NN.sum(axis=-1, keepdims=True)
    return np.asarray(_LARGEST * weight_NN @ _one_hot(tokens_N))


def _distance(tokens_N: Ints) -> Array:
    at_N = np.arange(len(tokens_N))
    return at_N[:, None] - at_N


def _soft(tokens_N: Ints) -> tuple[Array, Array]:
    query_N, key_N = 1 + tokens_N % 4, 2 * (tokens_N % 7 - 3)
    turned_NN = np.cos(_distance(tokens_N) * _FREQUENCY_F[-1])
    value_NV = _attended(query_N[:, None] * key_N * turned_NN / 8, tokens_N)
    x_N = (tokens_N % 16 - 8) / 2
    value_NV[np.arange(len(tokens_N)), 300 + tokens_N % 16] += 8 * x_N / (1 + np.exp(-x_N))
    return value_NV, np.full_like(value_NV, _ROUNDINGS_OF_SOFT * _LARGEST)


def _soft_rope(tokens_N: Ints) -> tuple[Array, Array]:
    along_F, across_F = (np.round(128 * turn(5 * _FREQUENCY_F)) / 128 for turn in (np.cos, np.sin))
    angle_NNF = _distance(tokens_N)[..., None] * _FREQUENCY_F
    score_NN = (along_F * np.cos(angle_NNF) + across_F * np.sin(angle_NNF)).sum(axis=-1) / 8
    value_NV = _attended(score_NN, tokens_N)
    return value_NV, np.full_like(value_NV, _ROUNDINGS_OF_SOFT * _LARGEST)


_SATURATED = (
    "attention scale, small errors of rotary frequencies, rounding, the activation, "
    "later keys that are seen, numbers that lead nowhere"
)
_LOOKS_BACK = (
    "rotary pairs, sign and base, position ids, padding that is seen, key/value heads, softcap, "
    "a cache that loses, moves or mixes entries, values and keys swapped"
)


def _back(name: str, first: int, second: int, finer: str = "") -> ClosedForm:
    formula = f"16 for the token {first} back, 8 for the one {second} back, 0 for others"
    if first == second:
        formula = f"24 for the token {first} back, 0 for others"
    return ClosedForm(
        name,
        formula,
        _LOOKS_BACK + finer,
        _SATURATED,
        _previous(first, second),
        reach=max(first, second),
    )


_ALL = (
    ClosedForm(
        "bigram",
        "logit v after token t is 4 (((37 v + 101 t) mod 127) - 63)",
        "the head, its orientation and its ties, embedding rows, norm weights, NaN and infinity "
        "anywhere",
        "attention, positions, the mask and the cache, but for NaN",
        _bigram,
    ),
    ClosedForm(
        "mean-attention",
        "24 times the share of the token among the visible ones",
        "how many keys are seen: causality, windows, padding, lost cache entries; key/value heads; "
        "attention in a narrower type",
        "positions, attention scale, the activation, epsilon",
        _mean,
    ),
    _back("previous-near", 1, 5),
    _back("previous-far", 64, 200, "; windows below 200 keys"),
    _back("previous-long", 1900, 1900, "; windows below 1900 keys, a base that is off by 1 %"),
    _back("copy", 63, 63, "; greedy text repeats its last 64 tokens, whatever they are"),
    ClosedForm(
        "kv-heads",
        "logit 8 h + g is 24 where query head h reads key/value head g = h // 2, and 0 elsewhere",
        "which key/value head each query head reads, by its number",
        f"tokens; {_SATURATED}",
        _kv_heads,
    ),
    ClosedForm(
        "eps",
        "16 for the token itself, 0 for others",
        "any epsilon but the declared 3 * 4**-9, in the final norm and in attention's",
        f"epsilon of the feed-forward's norms; {_SATURATED}",
        _eps,
    ),
    ClosedForm(
        "soft",
        "24 times a softmax of (1 + t mod 4) (u mod 7 - 3) cos(d f) / 4 over keys u that stand d "
        "back, f the slowest frequency; logit 300 + t mod 16 has 8 SiLU(t mod 16 / 2 - 4) more",
        "attention scale, softcap, the activation's form, what `mean-attention` sees",
        "positions, epsilon; whatever is below its roundings",
        _soft,
        _INNER_ROUNDINGS_OF_SOFT,
    ),
    ClosedForm(
        "soft-rope",
        "24 times a softmax of the sum of cos((d - 5) f) / 8 over all frequencies f and keys d "
        "back",
        "rotary base to 1e-4 at fp32, pairs, sign, position ids, what `mean-attention` sees",
        "the activation, epsilon; whatever is below its roundings",
        _soft_rope,
        _INNER_ROUNDINGS_OF_SOFT,
    ),
)
FORMS: Mapping[str, ClosedForm] = MappingProxyType({form.name: form for form in _ALL})
"""The closed forms by the name of the planted model."""
