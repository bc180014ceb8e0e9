"""Norms. Statistics are torch's own; what torch lacks is written as models write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters._torch import functional

if TYPE_CHECKING:
    from conformance.adapters._torch_operators import Attributes, Tensors


def _rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, scale = inputs["X"], inputs["scale"]
    shape = x.shape[attributes["axis"] % x.ndim :]
    y = functional().rms_norm(x, shape, scale.expand(shape), attributes["epsilon"])
    return {"Y": y}


def _offset_rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, scale = (_wide(inputs[name]) for name in ("X", "scale"))
    shape = x.shape[attributes["axis"] % x.ndim :]
    y = functional().rms_norm(x, shape, eps=attributes["epsilon"]) * (1 + scale)
    return {"Y": y.to(inputs["X"].dtype)}


def _wide(tensor: Any) -> Any:
    return tensor if tensor.element_size() == 8 else tensor.float()


def _layer_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, bias = inputs["X"], inputs.get("B")
    shape = x.shape[attributes["axis"] % x.ndim :]
    scale, shift = (t if t is None else t.expand(shape) for t in (inputs["Scale"], bias))
    return {"Y": functional().layer_norm(x, shape, scale, shift, attributes["epsilon"])}


_DEFAULTS = {"axis": -1, "epsilon": 1e-5, "stash_type": 1}

OPERATORS = {
    "LayerNormalization": (_layer_normalization, _DEFAULTS),
    "OffsetRMSNormalization": (_offset_rms_normalization, _DEFAULTS),
    "RMSNormalization": (_rms_normalization, _DEFAULTS),
}
