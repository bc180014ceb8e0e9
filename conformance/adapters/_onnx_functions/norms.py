"""Gemma's RMSNorm, as an exporter writes it: widened, scaled by one plus the weight, cast back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def _offset_rms_normalization(attributes: Mapping[str, Any]) -> str:
    wide = attributes.get("stash_type", 1)
    axis, epsilon = attributes.get("axis", -1), attributes.get("epsilon", 1e-5)
    return f"""
        wide = Cast <to = {wide}> (X)
        weight = Cast <to = {wide}> (scale)
        single = Constant <value_float = 1.0> ()
        one = CastLike (single, weight)
        factor = Add (weight, one)
        normal = RMSNormalization <axis = {axis}, epsilon = {epsilon!r}> (wide, factor)
        Y = CastLike (normal, X)
    """


FUNCTIONS = {"OffsetRMSNormalization": _offset_rms_normalization}
