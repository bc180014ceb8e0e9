"""Faults of embeddings and logits, and of what a candidate says of itself and does to files.

B batch, T tokens, D model, V vocabulary.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable

    from conformance.records import CandidateInfo, OperatorCall

    Honest = Callable[..., Any]


@mutant("operator Gather", kills=("EMBED-001", "EMBED-002"), bug="generic")
def last_row_unreachable(honest: Honest, call: OperatorCall) -> Any:
    """Indices are clamped to the last row but one."""
    last = max(0, call.inputs["data"].shape[0] - 2)
    clamped = np.minimum(call.inputs["indices"], last)
    return honest(dataclasses.replace(call, inputs={**call.inputs, "indices": clamped}))


@mutant("operator Gather", kills=("EMBED-001", "EMBED-002"), bug="generic")
def first_row_is_padding(honest: Honest, call: OperatorCall) -> Any:
    """The row of token 0 is taken for padding and read as zeros."""
    data = call.inputs["data"].copy()
    data[0] = 0
    return honest(dataclasses.replace(call, inputs={**call.inputs, "data": data}))


@mutant("operator Gather", kills=("EMBED-001", "EMBED-002", "EQUIV-006"), bug="generic")
def rows_scaled(honest: Honest, call: OperatorCall) -> Any:
    """Rows are multiplied by the root of their width, as Gemma does."""
    root = math.sqrt(call.inputs["data"].shape[1])
    return {name: (y * root).astype(y.dtype) for name, y in honest(call).items()}


@mutant("build_decoder", kills=("LOGITS-001", "LOGITS-002"), bug="Lightning-AI/litgpt#1031")
def embedding_scaled(honest: Honest, *arguments: Any, **named: Any) -> Any:
    """Embedded tokens are multiplied by the root of the model's width."""
    decoder = honest(*arguments, **named)
    root = math.sqrt(decoder.config.dim)
    decoder.model.embed_tokens.register_forward_hook(lambda *call: call[2] * root)
    return decoder


@mutant(
    "Decoder.head",
    kills=("LOGITS-001", "LOGITS-002", "CLOSED-001", "CLOSED-002", "CLOSED-003"),
    bug="generic",
)
def embedding_used_as_head(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The embedding is the head, though the checkpoint has one of its own."""
    return x_BTD @ self.model.embed_tokens.weight.T


@mutant("Decoder.head", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def logits_capped(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Logits are capped softly at 30, as Gemma 2's are."""
    return 30 * (honest(self, x_BTD) / 30).tanh()


@mutant(
    "Decoder.head", kills=("LOGITS-001", "LOGITS-002", "LOGITS-005", "LOGITS-007"), bug="generic"
)
def temperature_left_on(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Logits are divided by a temperature of 1.02."""
    return honest(self, x_BTD) / 1.02


@mutant("Decoder.head", kills=("LOGITS-001", "LOGITS-002"), bug="vllm-project/vllm#9453")
def log_probabilities_for_logits(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Log-probabilities are answered in place of logits."""
    return honest(self, x_BTD).log_softmax(-1)


@mutant("Decoder.head", kills=("LOGITS-001", "LOGITS-002"), bug="generic")
def logits_less_their_maximum(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Each token's largest logit is subtracted from its logits."""
    logits_BTV = honest(self, x_BTD)
    return logits_BTV - logits_BTV.amax(-1, keepdim=True)


@mutant("logits", kills=("LOGITS-001", "LOGITS-002"), bug="huggingface/transformers#47394")
def logits_shifted_by_a_token(honest: Honest, *inputs: Any) -> Any:
    """A token gets the logits of the token before it, and the first the last's."""
    return np.roll(honest(*inputs), 1, axis=1)


@mutant("logits", kills=("LOGITS-001",), bug="generic")
def logits_end_at_a_tile_of_256(honest: Honest, *inputs: Any) -> Any:
    """Tokens behind the 256th of a row get its logits."""
    logits = honest(*inputs)
    logits[:, 256:] = logits[:, 255:256]
    return logits


@mutant("logits", kills=("LOGITS-003",), bug="generic")
def logits_of_the_last_token_only(honest: Honest, *inputs: Any) -> Any:
    """Only the last token's logits are answered."""
    return honest(*inputs)[:, -1:]


@mutant("logits", kills=("LOGITS-003",), bug="microsoft/onnxruntime#20521")
def logits_with_a_nan(honest: Honest, *inputs: Any) -> Any:
    """One logit is NaN."""
    logits = honest(*inputs)
    logits[-1, -1, -1] = np.nan
    return logits


@mutant("logits", kills=("LOGITS-003",), bug="generic")
def logits_of_a_padded_vocabulary(honest: Honest, *inputs: Any) -> Any:
    """The vocabulary is rounded up for the hardware, and the 64 columns too many are answered."""
    return np.pad(honest(*inputs), ((0, 0), (0, 0), (0, 64)))


@mutant(
    "logits",
    kills=("LOGITS-003",),
    bug="generic",
    equivalent_at={"fp16": "Logits are float16 arrays there."},
)
def logits_in_another_type(honest: Honest, *inputs: Any) -> Any:
    """Logits are answered as float16 arrays."""
    return honest(*inputs).astype(np.float16)


@mutant("load", kills=("PKG-001",), bug="generic")
def package_rewritten_on_load(honest: Honest, package: Any) -> Any:
    """Loading a package rewrites its config.json."""
    model = honest(package)
    file = package.path / "config.json"
    file.write_text(file.read_text(encoding="utf-8").rstrip(), encoding="utf-8")
    return model


@mutant("info", kills=("REPORT-001",), bug="generic")
def version_untold(info: CandidateInfo) -> CandidateInfo:
    """The candidate does not say its version."""
    return dataclasses.replace(info, version="")
