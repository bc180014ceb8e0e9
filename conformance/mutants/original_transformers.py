"""Faults of encoder-decoders of the original Transformer's shape: places, scales, norms, biases.

B batch, S source tokens or keys, T target tokens or queries, D model.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from conformance.mutants import mutant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Honest = Callable[..., Any]

_BOTH_SIDES = ("SEQ-001", "SEQ-002", "SEQ-003", "SEQ-004")
"""Requirements that see a fault in every layer of both stacks, on any tokens."""
_TARGET = ("SEQ-002", "SEQ-003", "SEQ-004")
_STEPS = ("SEQ-011", "SEQ-012", "SEQ-013", "SEQ-014")


@mutant("transformer.sinusoids", kills=_BOTH_SIDES, bug="generic")
def sines_and_cosines_in_turns(honest: Honest, places: int, dim: int) -> Any:
    """Sines and cosines stand in turns, as the paper has them and no checkpoint of this shape."""
    table_PD = honest(places, dim)
    return table_PD.unflatten(1, (2, dim // 2)).transpose(1, 2).flatten(1)


@mutant("transformer.sinusoids", kills=_BOTH_SIDES, bug="generic")
def cosines_before_sines(honest: Honest, places: int, dim: int) -> Any:
    """Cosines stand in the first half of the channels, and sines in the second."""
    return honest(places, dim).roll(dim // 2, dims=1)


@mutant("transformer.sinusoids", kills=_BOTH_SIDES, bug="generic")
def places_from_one(honest: Honest, places: int, dim: int) -> Any:
    """The first token stands at place 1."""
    return honest(places + 1, dim)[1:]


@mutant("transformer.sinusoids", kills=_BOTH_SIDES, bug="generic")
def places_from_two(honest: Honest, places: int, dim: int) -> Any:
    """The first token stands at place 2, as in models whose table has rows for padding."""
    return honest(places + 2, dim)[2:]


@mutant("transformer.sinusoids", kills=_BOTH_SIDES, bug="generic")
def rates_up_to_the_last(honest: Honest, places: int, dim: int) -> Any:
    """The slowest sine turns at exactly 1/10000: rates are divided by their number less one."""
    pairs = dim // 2
    turns_T1 = honest(places, 2).new_tensor(range(places)).unsqueeze(1)
    exponents = [-math.log(10000.0) * n / (pairs - 1) for n in range(pairs)]
    angles_TN = turns_T1 * turns_T1.new_tensor(exponents).exp()
    table_PD = turns_T1.new_empty(places, dim)
    table_PD[:, :pairs], table_PD[:, pairs:] = angles_TN.sin(), angles_TN.cos()
    return table_PD


@mutant("transformer.Transformer.embedded", kills=_STEPS, bug="huggingface/transformers#15736")
def places_restart_in_steps(honest: Honest, self: Any, ids_BT: Any, past: int = 0) -> Any:
    """A step's tokens stand where the first tokens of the target do."""
    del past
    return honest(self, ids_BT)


@mutant("transformer.Transformer.embedded", kills=_BOTH_SIDES, bug="generic")
def embedding_not_scaled(honest: Honest, self: Any, ids_BT: Any, past: int = 0) -> Any:
    """The embedding is not made larger by the root of the width."""
    words_BTD = self.shared(ids_BT)
    return honest(self, ids_BT, past) - words_BTD * (math.sqrt(self.config.dim) - 1)


@mutant("transformer.Transformer.embedded", kills=_BOTH_SIDES, bug="generic")
def places_scaled_with_the_embedding(honest: Honest, self: Any, ids_BT: Any, past: int = 0) -> Any:
    """Places are added before the sum is made larger by the root of the width."""
    root, words_BTD = math.sqrt(self.config.dim), self.shared(ids_BT)
    places_BTD = honest(self, ids_BT, past) - words_BTD * root
    return (words_BTD + places_BTD) * root


@mutant("transformer.attend", kills=_BOTH_SIDES, bug="generic")
def scores_not_divided(honest: Honest, q_BHTK: Any, read: Any, visible: Any) -> Any:
    """Scores are not divided by the root of the head dim, as T5's are not."""
    return honest(q_BHTK * math.sqrt(q_BHTK.shape[-1]), read, visible)


@mutant("transformer.Layer.attended", kills=_BOTH_SIDES, bug="generic")
def norm_before_attention(
    honest: Honest, self: Any, x_BTD: Any, visible: Any, past: Any = None
) -> Any:
    """What attention is given is normalised, and not the sum behind it."""
    normed_BTD = self.self_attn_layer_norm(x_BTD)
    with _passing_all(self.self_attn_layer_norm):
        added_BTD, read = honest(self, normed_BTD, visible, past)
    return x_BTD + (added_BTD - normed_BTD), read


@mutant("transformer.Layer.fed", kills=_BOTH_SIDES, bug="generic")
def norm_before_the_units(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """What the feed-forward is given is normalised, and not the sum behind it."""
    normed_BTD = self.final_layer_norm(x_BTD)
    with _passing_all(self.final_layer_norm):
        added_BTD = honest(self, normed_BTD)
    return x_BTD + (added_BTD - normed_BTD)


@mutant("transformer.Layer.crossed", kills=_TARGET, bug="generic")
def norm_of_what_is_read_alone(
    _: Honest, self: Any, x_BTD: Any, source: Any, visible_B11S: Any
) -> Any:
    """What the source adds is normalised, and the stream passes beside the norm."""
    read_BTD = self.encoder_attn(x_BTD, source, visible_B11S)
    return x_BTD + self.encoder_attn_layer_norm(read_BTD)


@mutant("transformer.activated", kills=_BOTH_SIDES, bug="generic")
def relu_where_units_are_swish(honest: Honest, x: Any, activation: str) -> Any:
    """Units are ReLUs, as the paper has them, whatever the model says."""
    del activation
    return honest(x, "relu")


@mutant("transformer.activated", kills=_BOTH_SIDES, bug="generic")
def swish_of_a_larger_argument(honest: Honest, x: Any, activation: str) -> Any:
    """Swish has the factor by which it is near GELU: x sigmoid(1.702 x)."""
    return honest(x, activation) if activation == "relu" else x * (1.702 * x).sigmoid()


@mutant("transformer.Layer.fed", kills=_BOTH_SIDES, bug="generic")
def bias_of_relu_units_dropped(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The first product of the feed-forward has no bias."""
    bias_N, self.fc1.bias = self.fc1.bias, None
    try:
        return honest(self, x_BTD)
    finally:
        self.fc1.bias = bias_N


@mutant("transformer.Attention.reads", kills=_BOTH_SIDES, bug="generic")
def bias_of_values_dropped(honest: Honest, self: Any, x_BSD: Any) -> Any:
    """Values have no bias."""
    bias_D, self.v_proj.bias = self.v_proj.bias, None
    try:
        return honest(self, x_BSD)
    finally:
        self.v_proj.bias = bias_D


@mutant(
    "transformer.Attention.reads",
    bug="generic",
    equivalent="A bias of keys adds the same number to all scores of a query.",
)
def bias_of_keys_dropped(honest: Honest, self: Any, x_BSD: Any) -> Any:
    """Keys have no bias."""
    bias_D, self.k_proj.bias = self.k_proj.bias, None
    try:
        return honest(self, x_BSD)
    finally:
        self.k_proj.bias = bias_D


@mutant("transformer.Transformer.head", kills=_TARGET, bug="OpenNMT/CTranslate2#832")
def bias_of_logits_dropped(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """Logits have no bias."""
    return honest(self, x_BTD) - self.final_logits_bias


@mutant("transformer.Transformer.head", kills=_TARGET, bug="generic")
def head_scaled_as_t5_has_it(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """What the head is given is made smaller by the root of the width."""
    return honest(self, x_BTD * self.config.dim**-0.5)


@mutant("transformer.LayerNorm.forward", kills=("SEQ-001", "SEQ-002", "SEQ-003"), bug="generic")
def variance_of_a_sample(honest: Honest, self: Any, x_BTD: Any) -> Any:
    """The variance divides by the width less one."""
    width = x_BTD.shape[-1]
    return (honest(self, x_BTD) - self.bias) * math.sqrt((width - 1) / width) + self.bias


@contextmanager
def _passing_all(norm: Any) -> Iterator[None]:
    """Make a norm pass what it is given as it is."""
    norm.forward = lambda x: x
    try:
        yield
    finally:
        del norm.forward
