"""The router of a mixture of experts. N tokens, E experts.

What experts are chosen by differs between neighbours in rank by far more than rounding, so that
indices can be judged exactly; or it is the same number, and the index decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from conformance.inputs.operators.numbers import SEEDS, Numbers
from conformance.records import OWN_DOMAIN, OperatorCall

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.checked import CheckedOperators

    Array = NDArray[Any]
    Strategy = st.SearchStrategy[Any]
    Case = Mapping[str, Any]

_OPSET = 23
_STEP = 0.25
"""Between the scores of two neighbours in rank: 32 roundings of bfloat16 at 1."""
_REST = 4.0
"""How far the experts that cannot be chosen spread below the ladder."""
_FAVOUR = 3.5 * _STEP
"""The share of one expert where there is a bias: it rises three ranks, to between two others."""


def routings(operators: CheckedOperators, case: Case) -> Strategy:
    """MoERouter over logits (N, E).

    Args:
        operators: the candidate's.
        case: the numbers ``experts`` and ``top_k``, the word ``order``; ``renormalise`` and
            ``scale``; ``bias``, which chooses other experts than the logits do; ``ties``, two
            experts for each logit.
    """
    attributes = {
        "top_k": case["top_k"],
        "order": case["order"],
        "renormalise": int(case.get("renormalise", False)),
        "scale": float(case.get("scale", 1.0)),
    }
    draw = _with_bias if case.get("bias", False) else _without_bias

    def make(seed: int, tokens: int) -> OperatorCall:
        logits_NE, bias_E = draw(Numbers(operators, seed), tokens, case)
        inputs = {
            "logits": logits_NE.astype(operators.dtype),
            "selection_bias": bias_E.astype(operators.dtype),
        }
        outputs = ("weights", "indices")
        return OperatorCall("MoERouter", _OPSET, inputs, attributes, outputs, OWN_DOMAIN)

    return st.builds(make, SEEDS, st.integers(1, 9))


def _without_bias(numbers: Numbers, tokens: int, case: Case) -> tuple[Array, Array]:
    """Return logits that are a ladder in another order for each token."""
    rank_E = np.arange(case["experts"])
    ladder_E = _ladder(rank_E // 2 if case.get("ties", False) else rank_E, case)
    logits_NE = np.stack([numbers.shuffled(ladder_E) for _ in range(tokens)])
    return logits_NE, np.zeros(case["experts"])


def _ladder(rank_E: Array, case: Case) -> Array:
    """Return numbers by rank: steps apart as far as experts are chosen, closer behind them."""
    steps = case["top_k"] + 1
    behind_E = np.maximum(rank_E - steps, 0) / len(rank_E) * _REST
    descending_E: Array = 1.0 - _STEP * np.minimum(rank_E, steps) - behind_E
    return descending_E


def _with_bias(numbers: Numbers, tokens: int, case: Case) -> tuple[Array, Array]:
    """Return logits, and a bias such that the scores of each token are steps apart, or halves.

    Before the choice comes the softmax: the bias is a ladder, and each token's shares are small but
    for one of them. After it: logits are the ladder of the token less the bias.
    """
    experts = case["experts"]
    if case["order"] == "topk-then-softmax":
        ladders_NE, _ = _without_bias(numbers, tokens, case)
        bias_E = numbers.normal(experts).astype(np.float64)
        return ladders_NE - bias_E, bias_E
    small_NE = np.exp(0.5 * numbers.normal(tokens, experts).astype(np.float64))
    favoured_N = numbers.below(experts, tokens)
    small_NE[np.arange(tokens), favoured_N] = 0.0
    shares_NE = (1 - _FAVOUR) * small_NE / small_NE.sum(axis=-1, keepdims=True)
    shares_NE[np.arange(tokens), favoured_N] = _FAVOUR
    return np.log(shares_NE), numbers.shuffled(_ladder(np.arange(experts), case))
