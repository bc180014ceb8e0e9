"""Attention, by scaled_dot_product_attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _attention(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    q_BHTK, k_BGSK, v_BGSK = (_heads(name, inputs, attributes) for name in "QKV")
    past = 0
    if "past_key" in inputs:
        past = inputs["past_key"].shape[2]
        k_BGSK = torch.cat((inputs["past_key"], k_BGSK), dim=2)
        v_BGSK = torch.cat((inputs["past_value"], v_BGSK), dim=2)
    if attributes["softcap"]:
        raise Unsupported("Attention: scaled_dot_product_attention has no softcap")
    mask = _mask(inputs.get("attn_mask"), k_BGSK.shape[2])
    causal = bool(attributes["is_causal"])
    if causal and (past or mask is not None):
        # torch's own flag is for no past and no mask, so callers write the triangle themselves.
        mask, causal = _with_triangle(mask, q_BHTK, k_BGSK.shape[2], past), False
    y_BHTK = functional().scaled_dot_product_attention(
        q_BHTK,
        k_BGSK,
        v_BGSK,
        attn_mask=mask,
        is_causal=causal,
        scale=attributes["scale"],
        enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
    )
    y = y_BHTK.transpose(1, 2).flatten(2) if inputs["Q"].ndim == 3 else y_BHTK
    return {"Y": y, "present_key": k_BGSK, "present_value": v_BGSK}


def _heads(name: str, inputs: Tensors, attributes: Attributes) -> Any:
    x = inputs[name]
    if x.ndim == 4:
        return x
    heads = attributes["q_num_heads" if name == "Q" else "kv_num_heads"]
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _mask(mask: Any, keys: int) -> Any:
    """Return the mask for all keys; the standard hides those that a shorter one does not name."""
    if mask is None or mask.shape[-1] == keys:
        return mask
    hidden = False if mask.dtype == _bool() else float("-inf")
    return functional().pad(mask, (0, keys - mask.shape[-1]), value=hidden)


def _with_triangle(mask: Any, q_BHTK: Any, keys: int, past: int) -> Any:
    import torch  # noqa: PLC0415

    allowed_TS = torch.ones(q_BHTK.shape[2], keys, dtype=torch.bool, device=q_BHTK.device)
    allowed_TS = allowed_TS.tril(diagonal=past)
    if mask is None:
        return allowed_TS
    if mask.dtype == torch.bool:
        return mask & allowed_TS
    return mask.masked_fill(~allowed_TS, float("-inf"))


def _bool() -> Any:
    import torch  # noqa: PLC0415

    return torch.bool


OPERATORS = {
    "Attention": (
        _attention,
        {"is_causal": 0, "kv_num_heads": 0, "q_num_heads": 0, "scale": None, "softcap": 0.0},
    ),
}
