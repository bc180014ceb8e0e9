"""The router of a mixture of experts. N tokens, E experts, C chosen ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.errors import SpecError
from conformance.oracles.operators.softmax import EXPONENT, depth_below_maximum, softmax
from conformance.oracles.operators.softmax import weights_error as softmax_error
from conformance.oracles.row import Operator
from conformance.oracles.units import ELEMENTARY, Units, exact, rounded, units
from conformance.records import OWN_DOMAIN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from conformance.oracles.row import Answer, Attributes, Inputs
    from conformance.records import Contract

    Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Routing:
    """How weights are made of logits."""

    top_k: int
    softmax_first: bool = True
    """Whether weights are shares of the softmax over all experts, or over the chosen ones."""
    renormalise: bool = False
    """Whether the weights of the chosen are divided by their sum."""
    scale: float = 1.0
    """What the weights are multiplied by in the end (arXiv:2412.19437, routed scaling factor)."""


def route(logits_NE: Array, bias_E: Array, how: Routing) -> tuple[Array, Array]:
    """Return the weights of the chosen experts and their indices, both (N, C), best first.

    The experts of the ``top_k`` largest scores are chosen, where a score is the softmax over all
    experts or the logit, plus the bias, which chooses and does not weigh (arXiv:2412.19437, section
    2.1.2); it is 0 where a model has none. Of equal scores the lower index comes first.
    """
    scores_NE = selection_scores(logits_NE, bias_E, how)
    chosen_NC = np.argsort(-scores_NE, axis=-1, kind="stable")[:, : how.top_k]
    return _weights(logits_NE, chosen_NC, how), chosen_NC


def selection_scores(logits_NE: Array, bias_E: Array, how: Routing) -> Array:
    """Return what experts are chosen by, (N, E)."""
    base_NE = softmax(logits_NE) if how.softmax_first else logits_NE
    scores_NE: Array = base_NE + bias_E
    return scores_NE


def _weights(logits_NE: Array, chosen_NC: Array, how: Routing) -> Array:
    source = softmax(logits_NE) if how.softmax_first else logits_NE
    weights_NC: Array = np.take_along_axis(source, chosen_NC, axis=-1)
    if not how.softmax_first:
        weights_NC = softmax(weights_NC)
    if how.renormalise:
        weights_NC = weights_NC / weights_NC.sum(axis=-1, keepdims=True)
    scaled_NC: Array = weights_NC * weights_NC.dtype.type(how.scale)
    return scaled_NC


def weights_bound(
    logits_NE: Array, weights_NC: Array, chosen_NC: Array, how: Routing, contract: Contract
) -> Array:
    """Bound the weights of given choices.

    Shares of the softmax over all experts: its bound, and their rounding u_i. Renormalised, or over
    the chosen alone, which is the same: the sum over all cancels. Exponentials err by exp(r_j),
    r_j = d_j + 4 u with d_j of ``softmax`` and u_i for their rounding, and so their quotient by
    r_j + ln(sum w_k exp(r_k)) + D(C) + u, the sum's rounding u_i and the quotient's u_i. A scale
    other than 1 is rounded, u_i, and so is the product, in the accumulation type at least.
    """
    u, roundings = units(contract), 1 if how.scale == 1 else 2
    if how.softmax_first and not how.renormalise:
        p_NE, exponent_NE = softmax(logits_NE), _exponent(logits_NE, u)
        error_NE = softmax_error(logits_NE, p_NE, exponent_NE, u, -1)
        error_NC = how.scale * np.take_along_axis(error_NE, chosen_NC, axis=-1)
    else:
        error_NC = _renormalised_error(logits_NE, weights_NC, chosen_NC, u, how)
    error_NC = error_NC + (roundings * u.i + u.a) * weights_NC + how.scale * u.tiny_i
    return rounded(error_NC, weights_NC, u)


def _exponent(logits: Array, u: Units) -> Array:
    return EXPONENT * u.a * depth_below_maximum(logits, -1)


def _renormalised_error(
    logits_NE: Array, weights_NC: Array, chosen_NC: Array, u: Units, how: Routing
) -> Array:
    each_NE = _exponent(logits_NE, u) + ELEMENTARY * u.a + u.i
    each_NC = np.take_along_axis(each_NE, chosen_NC, axis=-1)
    share_NC = weights_NC / how.scale
    common_N1 = np.log1p(np.sum(share_NC * np.expm1(each_NC), axis=-1, keepdims=True))
    relative_NC = each_NC + common_N1 + u.sum(how.top_k) + u.a + u.i
    # Exponentials below the least normal number may vanish, and their sum with them.
    total_N1 = np.take_along_axis(softmax(logits_NE), chosen_NC, axis=-1).sum(-1, keepdims=True)
    lost_NC = (1 + how.top_k * share_NC) * u.least / total_N1
    error_NC: Array = weights_NC * np.expm1(relative_NC) + how.scale * lost_NC
    return error_NC


def decided(logits_NE: Array, bias_E: Array, how: Routing, contract: Contract) -> Array:
    """Return for each token whether rounding can neither choose nor order otherwise, (N,).

    The scores of two neighbours in rank, to the first that is left out, have to be further apart
    than both their errors: that of the softmax, rounded to the intermediate type, and u_i of the
    sum with the bias. Logits and their sum with a bias are the same number where they are equal,
    and equal ones are decided by index; two equal shares of a softmax need not come out equal.
    """
    u, scores_NE = units(contract), selection_scores(logits_NE, bias_E, how)
    error_NE = u.i * np.abs(scores_NE) if bias_E.any() else np.zeros_like(scores_NE)
    if how.softmax_first:
        p_NE = softmax(logits_NE)
        error_NE = error_NE + u.i * p_NE + u.tiny_i
        error_NE = error_NE + softmax_error(logits_NE, p_NE, _exponent(logits_NE, u), u, -1)
    order_NE = np.argsort(-scores_NE, axis=-1, kind="stable")[:, : how.top_k + 1]
    ranked, error = (np.take_along_axis(x, order_NE, axis=-1) for x in (scores_NE, error_NE))
    gap = ranked[:, :-1] - ranked[:, 1:]
    apart = gap > error[:, :-1] + error[:, 1:]
    if not how.softmax_first:
        apart |= _equal(logits_NE, bias_E, order_NE)
    settled_N: Array = apart.all(axis=-1)
    return settled_N


def _equal(logits_NE: Array, bias_E: Array, order_NE: Array) -> Array:
    """Return whether neighbours in rank have the same logit and the same bias."""
    logits, bias = (
        np.take_along_axis(np.broadcast_to(x, logits_NE.shape), order_NE, axis=-1)
        for x in (logits_NE, bias_E)
    )
    same: Array = (logits[:, :-1] == logits[:, 1:]) & (bias[:, :-1] == bias[:, 1:])
    return same


_ORDERS = {"softmax-then-topk": True, "topk-then-softmax": False}


def _router(inputs: Inputs, attributes: Attributes, contract: Contract) -> Answer:
    logits_NE, bias_E = inputs["logits"], inputs["selection_bias"]
    how = Routing(
        top_k=attributes["top_k"],
        softmax_first=_ORDERS[attributes["order"]],
        renormalise=bool(attributes["renormalise"]),
        scale=attributes["scale"],
    )
    settled_N = decided(logits_NE, bias_E, how, contract)
    if not settled_N.all():
        raise SpecError(
            f"MoERouter: rounding decides which experts {(~settled_N).sum()} of {len(settled_N)} "
            "tokens get, so their indices cannot be judged; give logits that are further apart"
        )
    weights_NC, chosen_NC = route(logits_NE, bias_E, how)
    bound_NC = weights_bound(logits_NE, weights_NC, chosen_NC, how, contract)
    return {
        "weights": (weights_NC, bound_NC),
        "indices": (chosen_NC.astype(np.int64), exact(chosen_NC)),
    }


OPERATORS = {
    "MoERouter": Operator(
        1,
        ("logits", "selection_bias"),
        ("weights", "indices"),
        _router,
        attributes={
            "top_k": 1,
            "order": "softmax-then-topk",
            "renormalise": 0,
            "scale": 1.0,
        },
        domain=OWN_DOMAIN,
    ),
}
