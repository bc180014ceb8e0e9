"""Losses of scores and labels, as an exporter writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]


def _cross_entropy(attributes: Attributes, outputs: str) -> str:
    ignored = attributes.get("ignore_index")
    named = "" if ignored is None else f", ignore_index = {ignored}"
    return f'{outputs} = SoftmaxCrossEntropyLoss <reduction = "mean"{named}> (scores, labels)'


def _label_smoothed(attributes: Attributes) -> str:
    smoothing = attributes.get("smoothing", 0.0)
    return f"""
        {_cross_entropy(attributes, "loss, log_p")}
        {_counted(attributes.get("ignore_index"))}
        classes = Constant <value_ints = [1]> ()
        each = ReduceMean <keepdims = 0> (log_p, classes)
        kept = Mul (each, counted)
        total = ReduceSum <keepdims = 0> (kept)
        rows = ReduceSum <keepdims = 0> (counted)
        mean = Div (total, rows)
        smoothing_wide = Constant <value_float = {float(smoothing)!r}> ()
        smoothing = CastLike (smoothing_wide, scores)
        one_wide = Constant <value_float = 1.0> ()
        one = CastLike (one_wide, scores)
        rest = Sub (one, smoothing)
        sharp = Mul (rest, loss)
        smooth = Mul (smoothing, mean)
        output = Sub (sharp, smooth)
    """


def _counted(ignored: int | None) -> str:
    """Return the nodes of 1 for each label that counts and 0 for the others."""
    if ignored is None:
        return """
        same = Equal (labels, labels)
        counted = CastLike (same, scores)
    """
    return f"""
        ignored_wide = Constant <value_int = {ignored}> ()
        ignored = CastLike (ignored_wide, labels)
        is_ignored = Equal (labels, ignored)
        is_counted = Not (is_ignored)
        counted = CastLike (is_counted, scores)
    """


def _perplexity(attributes: Attributes) -> str:
    return f"""
        {_cross_entropy(attributes, "loss")}
        output = Exp (loss)
    """


FUNCTIONS = {"LabelSmoothedCrossEntropy": _label_smoothed, "Perplexity": _perplexity}
