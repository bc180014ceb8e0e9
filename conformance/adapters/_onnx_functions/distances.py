"""Losses that compare two tensors, as an exporter writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]


def _mean_squared_error(_: Attributes) -> str:
    return """
        difference = Sub (predictions, targets)
        square = Mul (difference, difference)
        output = ReduceMean <keepdims = 0> (square)
    """


def _kl_divergence(_: Attributes) -> str:
    return """
        log_p = LogSoftmax <axis = -1> (p_scores)
        log_q = LogSoftmax <axis = -1> (q_scores)
        p = Exp (log_p)
        ratio = Sub (log_p, log_q)
        product = Mul (p, ratio)
        zero_wide = Constant <value_float = 0.0> ()
        zero = CastLike (zero_wide, p_scores)
        impossible = Equal (p, zero)
        term = Where (impossible, zero, product)
        last = Constant <value_ints = [-1]> ()
        row = ReduceSum <keepdims = 0> (term, last)
        output = ReduceMean <keepdims = 0> (row)
    """


FUNCTIONS = {"MeanSquaredError": _mean_squared_error, "KLDivergence": _kl_divergence}
