"""The standard's operators by what PyTorch users call for them; no kernel of our own.

Each function takes the inputs by formal name and the attributes with the standard's defaults, and
returns the outputs by formal name. Shape letters: B batch, T tokens, S keys, H heads, G key/value
heads, K head dim, R rotated pairs, N rows, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.adapters._torch import to_array, to_tensor
from conformance.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from conformance.records import OperatorCall

    Tensors = Mapping[str, Any]
    Attributes = Mapping[str, Any]
    Compute = Callable[[Tensors, Attributes], dict[str, Any]]


def compute(call: OperatorCall, where: Any) -> dict[str, NDArray[Any]]:
    """Return a call's outputs by formal name, computed on the device ``where``.

    Raises:
        Unsupported: there is no such operator here, or torch has no kernel for the call.
    """
    if call.domain or call.operator not in _OPERATORS:
        raise Unsupported(f"operator {call.domain}::{call.operator} is not wired to torch")
    function, defaults = _OPERATORS[call.operator]
    for name in call.attributes:
        if name not in defaults:
            raise Unsupported(f"{call.operator}: attribute {name!r} has no counterpart in torch")
    attributes = {**defaults, **{name: _stored(v) for name, v in call.attributes.items()}}
    inputs = {name: to_tensor(array, where) for name, array in call.inputs.items()}
    outputs = function(inputs, attributes)
    for name in call.outputs:
        if name not in outputs:
            raise Unsupported(f"{call.operator}: output {name!r} has no counterpart in torch")
    return {name: to_array(outputs[name]) for name in call.outputs}


def _stored(value: Any) -> Any:
    """Return a float attribute as ONNX stores it, in float32; others unchanged."""
    if isinstance(value, bytes):
        return value.decode()
    return float(np.float32(value)) if isinstance(value, float) else value


def _functional() -> Any:
    from torch.nn import functional  # noqa: PLC0415

    return functional


def _gather(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    data, indices = inputs["data"], inputs["indices"].long()
    if attributes["axis"] != 0 or data.ndim != 2:
        raise Unsupported("Gather: torch's embedding copies the rows of a matrix")
    return {"output": _functional().embedding(indices, data)}


def _matmul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["A"] @ inputs["B"]}


def _mul(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"C": inputs["A"] * inputs["B"]}


def _rms_normalization(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, scale = inputs["X"], inputs["scale"]
    shape = x.shape[attributes["axis"] % x.ndim :]
    y = _functional().rms_norm(x, shape, scale.expand(shape), attributes["epsilon"])
    return {"Y": y}


def _rotary_embedding(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    import torch  # noqa: PLC0415

    x, cos, sin = inputs["X"], inputs["cos_cache"], inputs["sin_cache"]
    if x.ndim == 3:
        heads_BTHK = x.unflatten(-1, (attributes["num_heads"], -1))
        y = _rotary_embedding({**inputs, "X": heads_BTHK.transpose(1, 2)}, attributes)["Y"]
        return {"Y": y.transpose(1, 2).flatten(2)}
    if "position_ids" in inputs:
        cos, sin = (_functional().embedding(inputs["position_ids"], cache) for cache in (cos, sin))
    cos_B1TR, sin_B1TR = cos.unsqueeze(1), sin.unsqueeze(1)
    turned = attributes["rotary_embedding_dim"] or x.shape[-1]
    rotated, kept = x[..., :turned], x[..., turned:]
    if attributes["interleaved"]:
        a, b = rotated[..., 0::2], rotated[..., 1::2]
    else:
        a, b = rotated.chunk(2, dim=-1)
    halves = (a * cos_B1TR - b * sin_B1TR, a * sin_B1TR + b * cos_B1TR)
    if attributes["interleaved"]:
        y = torch.stack(halves, dim=-1).flatten(-2)
    else:
        y = torch.cat(halves, dim=-1)
    return {"Y": torch.cat((y, kept), dim=-1)}


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
    y_BHTK = _functional().scaled_dot_product_attention(
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
    return _functional().pad(mask, (0, keys - mask.shape[-1]), value=hidden)


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


def _softmax(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": _functional().softmax(inputs["input"], attributes["axis"])}


def _log_softmax(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    return {"output": _functional().log_softmax(inputs["input"], attributes["axis"])}


def _cross_entropy(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    scores, ignored = inputs["scores"], attributes["ignore_index"]
    loss = _functional().cross_entropy(
        scores,
        inputs["labels"].long(),
        weight=inputs.get("weights"),
        # torch always ignores some label; this one is none that could occur.
        ignore_index=np.iinfo(np.int64).min if ignored is None else ignored,
        reduction=attributes["reduction"],
    )
    return {"output": loss, "log_prob": _functional().log_softmax(scores, 1)}


def _sigmoid(inputs: Tensors, _: Attributes) -> dict[str, Any]:
    return {"Y": inputs["X"].sigmoid()}


def _swish(inputs: Tensors, attributes: Attributes) -> dict[str, Any]:
    x, alpha = inputs["X"], attributes["alpha"]
    return {"Y": _functional().silu(x) if alpha == 1 else x * (alpha * x).sigmoid()}


_HEADS = {"kv_num_heads": 0, "q_num_heads": 0}
_OPERATORS: dict[str, tuple[Compute, dict[str, Any]]] = {
    "Attention": (_attention, {"is_causal": 0, "scale": None, "softcap": 0.0, **_HEADS}),
    "Gather": (_gather, {"axis": 0}),
    "LogSoftmax": (_log_softmax, {"axis": -1}),
    "MatMul": (_matmul, {}),
    "Mul": (_mul, {}),
    "RMSNormalization": (
        _rms_normalization,
        {"axis": -1, "epsilon": float(np.float32(1e-5)), "stash_type": 1},
    ),
    "RotaryEmbedding": (
        _rotary_embedding,
        {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0},
    ),
    "Sigmoid": (_sigmoid, {}),
    "Softmax": (_softmax, {"axis": -1}),
    "SoftmaxCrossEntropyLoss": (_cross_entropy, {"ignore_index": None, "reduction": "mean"}),
    "Swish": (_swish, {"alpha": 1.0}),
}
"""The operators that are wired, with their attributes' defaults."""
