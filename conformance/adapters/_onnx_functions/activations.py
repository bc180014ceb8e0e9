"""Gated units, as an exporter writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Attributes = Mapping[str, Any]


def _constant(name: str, value: float) -> str:
    """Return the nodes of a number in the type of ``gate``."""
    return f"""
        {name}_wide = Constant <value_float = {float(value)!r}> ()
        {name} = CastLike ({name}_wide, gate)
    """


def _swiglu(attributes: Attributes) -> str:
    return f"""
        {_clamped(attributes["limit"]) if "limit" in attributes else _AS_GIVEN}
        {_constant("alpha", attributes.get("alpha", 1.0))}
        inner = Mul (alpha, kept_gate)
        share = Sigmoid (inner)
        activated = Mul (kept_gate, share)
        {_constant("offset", attributes.get("offset", 0.0))}
        factor = Add (kept_up, offset)
        Y = Mul (activated, factor)
    """


_AS_GIVEN = """
        kept_gate = Identity (gate)
        kept_up = Identity (up)
    """


def _clamped(limit: float) -> str:
    return f"""
        {_constant("above", limit)}
        {_constant("below", -limit)}
        kept_gate = Min (gate, above)
        kept_up = Clip (up, below, above)
    """


def _geglu(attributes: Attributes) -> str:
    return f"""
        activated = Gelu <approximate = "{attributes.get("approximate", "none")}"> (gate)
        Y = Mul (activated, up)
    """


FUNCTIONS = {"SwiGLU": _swiglu, "GeGLU": _geglu}
