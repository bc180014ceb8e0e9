"""The honest candidates of the matrix, without which no score counts, and their known faults."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from conformance import spec

if TYPE_CHECKING:
    from collections.abc import Mapping

_NARROW = ("mutant", "transformers:eager", "transformers:sdpa")
HONEST = {
    "fp32": (
        "reference",
        "mutant",
        "transformers:eager",
        "transformers:sdpa",
        "pytorch?compile=decoder",
        "jax",
        "onnxruntime?optimization=disable",
        "onnxruntime?optimization=basic",
        "onnxruntime?optimization=extended",
        "onnxruntime?optimization=all",
        "tensorflow",
        "openvino?precision=f32",
    ),
    "fp16": tuple(f"{name}?dtype=float16" for name in _NARROW),
    "bf16": (
        *(f"{name}?dtype=bfloat16" for name in (*_NARROW, "jax", "tensorflow")),
        "openvino?precision=bf16",
    ),
}
"""Honest candidates at each precision.

``mutant`` without a fault is ``pytorch``, operation for operation, and stands for both.
"""
_FAULTS = {
    "jax": {
        "SOFTMAX-001": "0.10 in bfloat16 rounds the distance to the maximum before it takes the "
        "exponential: shares err by up to 14 %, and by 0.4 % where the logits are float32",
        "SOFTMAX-002": "0.10 in bfloat16, for the same reason",
        "MLP-001": "0.10 in bfloat16 rounds at each step of the sigmoid: SiLU errs by 4.9 units "
        "roundoff, and by 2 where its argument is float32",
    },
    "onnxruntime": {
        "ATTN-015": "1.32 on the CPU refuses masks of one row, and masks shorter than the keys",
        "ATTN-019": "1.32 on the CPU shows a hidden score as the lowest finite number",
        "QUANT-006": "1.32 on the CPU joins DequantizeLinear of unsigned codes with MatMul, and "
        "then takes scales of A's rows for those of columns; it is right with optimization=basic",
        "QUANT-007": "1.32 on the CPU has no zero points of A's rows, which the standard has",
    },
    "openvino": {
        "ACT-003": "2026.4 on the CPU answers 0 for the Relu of NaN",
        "ATTN-010": "2026.4 ignores left_window_size and right_window_size, silently",
        "ATTN-013": "2026.4 on the CPU answers 0 to a query from which a mask hides a NaN: neither "
        "NaN nor what the keys that it may see give",
        "ATTN-015": "2026.4 repeats a mask of one column over all keys, where the standard hides "
        "those that it does not reach, and refuses masks of other lengths",
        "ATTN-022": "2026.4 on the CPU answers 0 to a query that is NaN",
        "QUANT-001": "2026.4 on the CPU multiplies integers in float32: sums beyond 2^24 are "
        "rounded, as of 4096 products of uint8",
        "QUANT-005": "2026.4 does not compile DequantizeLinear in blocks without zero points",
        "SOFTMAX-005": "2026.4 on the CPU answers NaN where the NaN stands, and 0 beside it",
    },
    "onnx_reference": {
        "QUANT-007": "1.23 subtracts zero points of A's rows from its columns",
    },
    "tensorflow": {
        "SOFTMAX-005": "2.21 by oneDNN, its default on x86, answers 0 and not NaN beside a NaN or "
        "plus infinity of the same row; it is right with TF_ENABLE_ONEDNN_OPTS=0, and by XLA",
    },
}
"""What honest runtimes do wrong, by adapter and requirement: caught, not accused."""

_OWN_DECODERS = (
    *("gemma2-capped", "gemma3-local", "phi3-longrope", "glm4-neighbours"),
    *("gpt2-learned", "bloom-alibi", "mixtral-routed", "gptoss-sinks", "qwen2moe-shared"),
)
_UNBUILT = {
    "jax": _OWN_DECODERS,
    "tensorflow": _OWN_DECODERS,
    "transformers:sdpa": ("gemma2-capped", "bloom-alibi", "gptoss-sinks"),
}
"""Models that an honest candidate refuses to build, by how it is written or by its adapter. A run
fails what is claimed and refused; here it would say nothing of the checks."""


def known_faults(name: str) -> Mapping[str, str]:
    """Return what an honest candidate is known to do wrong, by requirement, with the evidence."""
    return _FAULTS.get(re.split("[:?]", name)[0], {})


def unbuilt(name: str) -> tuple[str, ...]:
    """Return the models that an honest candidate is not asked on.

    It refuses to build them, or it is torch's compiler, which makes a program of both sides of an
    encoder-decoder anew for most pairs of lengths, and takes minutes for each model.
    """
    written, _, options = name.partition("?")
    if written == "pytorch" and "compile" in options:
        return spec.load().profiles["encoder-decoder"].models
    return _UNBUILT.get(written, _UNBUILT.get(written.partition(":")[0], ()))
