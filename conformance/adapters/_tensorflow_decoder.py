"""A decoder of the Llama family of TensorFlow's functions, as a user of TensorFlow writes it.

Norms and softmax are computed in float32 and rounded to the type of the activations, phases too.
Shape letters: B batch, T tokens, S keys, D model, H heads, G key/value heads, N query heads of each
key/value head, K head dim, F feed-forward, V vocabulary, R rotated pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from conformance.adapters import _phases
from conformance.adapters._tensorflow import free, tf, to_tensor
from conformance.adapters._tensorflow_operators import phases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from conformance.adapters._llama import Llama

    Array = NDArray[Any]
    Layers = tuple[Any, ...]
    """A tensor of each layer, or of the keys and the values of each."""


class Decoder:
    """A model that answers logits, the stream after each layer, and a longer cache.

    Args:
        llama: its sizes and constants.
        weights: arrays by Hugging Face's names, of any float type.
        dtype: the type of weights and activations, to which weights are rounded once.
    """

    def __init__(self, llama: Llama, weights: Mapping[str, Array], dtype: str) -> None:
        self._of, self._dtype = llama, dtype
        self._weights = {
            name: tf().cast(to_tensor(array), dtype) for name, array in weights.items()
        }

    def signature(self) -> tuple[Any, ...]:
        """Return what ``forward`` takes, batch and lengths free."""
        integers = free("int64", None, None)
        cached = free(self._dtype, None, self._of.kv_heads, None, self._of.head_dim)
        return integers, integers, integers, (cached,) * (2 * self._of.layers)

    def no_past(self, batch: int) -> Layers:
        """Return the cache of no tokens."""
        none_BGSK = tf().zeros((batch, self._of.kv_heads, 0, self._of.head_dim), self._dtype)
        return (none_BGSK,) * (2 * self._of.layers)

    def forward(
        self, ids_BT: Any, mask_BS: Any, positions_BT: Any, past: Layers
    ) -> tuple[Any, Layers, Layers]:
        """Return logits (B, T, V), the stream after each layer (B, T, D), and the longer cache.

        Args:
            ids_BT: token ids.
            mask_BS: 1 for the tokens that may be attended to, past ones included.
            positions_BT: positions of the new tokens.
            past: keys and values of each layer in turn, (B, G, S - T, K).
        """
        x_BTD = tf().nn.embedding_lookup(self._weights["model.embed_tokens.weight"], ids_BT)
        cos_sin = self._rotation(positions_BT)
        stream, cache = [], []
        for i in range(self._of.layers):
            prefix = f"model.layers.{i}."
            q_BHTK, k_BGTK, v_BGTK = self._projections(prefix, x_BTD, cos_sin)
            k_BGSK = tf().concat((past[2 * i], k_BGTK), axis=2)
            v_BGSK = tf().concat((past[2 * i + 1], v_BGTK), axis=2)
            allowed_B11TS = _allowed(ids_BT, mask_BS, self._of.windows[i])
            joined = _attention(q_BHTK, k_BGSK, v_BGSK, allowed_B11TS)
            x_BTD = x_BTD + self._linear(f"{prefix}self_attn.o_proj", joined)
            x_BTD = x_BTD + self._mlp(prefix, x_BTD)
            stream.append(x_BTD)
            cache += [k_BGSK, v_BGSK]
        head = "model.embed_tokens" if self._of.tied else "lm_head"
        logits_BTV = self._linear(head, self._norm("model.norm", x_BTD))
        return logits_BTV, tuple(stream), tuple(cache)

    def _linear(self, name: str, x: Any) -> Any:
        y = tf().linalg.matmul(x, self._weights[f"{name}.weight"], transpose_b=True)
        return y + self._weights[f"{name}.bias"] if f"{name}.bias" in self._weights else y

    def _norm(self, name: str, x_BTD: Any) -> Any:
        wide = tf().cast(x_BTD, tf().float32)
        mean_BT1 = tf().reduce_mean(tf().square(wide), axis=-1, keepdims=True)
        normed = wide * tf().math.rsqrt(mean_BT1 + self._of.epsilon)
        return tf().cast(normed, self._dtype) * self._weights[f"{name}.weight"]

    def _rotation(self, positions_BT: Any) -> tuple[Any, Any]:
        """Return cosine and sine of each pair's angle, (B, 1, T, R)."""
        attributes = {**_phases.DEFAULTS, **self._of.phases}
        angle_BTR, factor = phases.angles(positions_BT, attributes, tf().float32)
        cos_BTR, sin_BTR = tf().cos(angle_BTR) * factor, tf().sin(angle_BTR) * factor
        return tuple(tf().cast(x[:, None], self._dtype) for x in (cos_BTR, sin_BTR))

    def _projections(self, prefix: str, x_BTD: Any, cos_sin: tuple[Any, Any]) -> Layers:
        """Return rotated queries (B, H, T, K), rotated keys and values (B, G, T, K)."""
        normed = self._norm(f"{prefix}input_layernorm", x_BTD)
        attention = f"{prefix}self_attn."
        q, k, v = (self._heads(f"{attention}{name}_proj", normed) for name in "qkv")
        if f"{attention}q_norm.weight" in self._weights:
            q, k = self._norm(f"{attention}q_norm", q), self._norm(f"{attention}k_norm", k)
        return _rotated(q, *cos_sin), _rotated(k, *cos_sin), v

    def _heads(self, name: str, x_BTD: Any) -> Any:
        y = self._linear(name, x_BTD)
        batch, tokens = tf().unstack(tf().shape(y)[:2])
        return tf().transpose(tf().reshape(y, (batch, tokens, -1, self._of.head_dim)), (0, 2, 1, 3))

    def _mlp(self, prefix: str, x_BTD: Any) -> Any:
        normed = self._norm(f"{prefix}post_attention_layernorm", x_BTD)
        gate_BTF, up_BTF = (
            self._linear(f"{prefix}mlp.{name}_proj", normed) for name in ("gate", "up")
        )
        return self._linear(f"{prefix}mlp.down_proj", tf().nn.silu(gate_BTF) * up_BTF)


def _allowed(ids_BT: Any, mask_BS: Any, window: int) -> Any:
    """Return which keys a query sees: itself and up to ``window`` - 1 before it, if not masked.

    (B, 1, 1, T, S).
    """
    tokens, keys = tf().shape(ids_BT)[1], tf().shape(mask_BS)[1]
    behind_TS = tf().range(tokens)[:, None] + (keys - tokens) - tf().range(keys)
    near_TS = (behind_TS >= 0) & (behind_TS < window)
    return (near_TS & (mask_BS != 0)[:, None])[:, None, None]


def _rotated(x_BHTK: Any, cos_B1TR: Any, sin_B1TR: Any) -> Any:
    a, b = tf().split(x_BHTK, 2, axis=-1)
    halves = (a * cos_B1TR - b * sin_B1TR, b * cos_B1TR + a * sin_B1TR)
    return tf().concat(halves, axis=-1)


def _attention(q_BHTK: Any, k_BGSK: Any, v_BGSK: Any, allowed_B11TS: Any) -> Any:
    """Return the weighted values of all heads, (B, T, H K); keys are shared and not repeated."""
    batch, heads, tokens, dim = tf().unstack(tf().shape(q_BHTK))
    groups = tf().shape(k_BGSK)[1]
    q_BGNTK = tf().reshape(q_BHTK, (batch, groups, heads // groups, tokens, dim))
    products = tf().linalg.matmul(q_BGNTK, k_BGSK[:, :, None], transpose_b=True)
    scores = tf().cast(products, tf().float32) * q_BHTK.shape[-1] ** -0.5
    # The smallest number, not -inf: a padded token that sees no key gives all of them the same,
    # and no NaN can reach the real tokens through 0 * NaN.
    weights = tf().nn.softmax(tf().where(allowed_B11TS, scores, tf().float32.min))
    y_BGNTK = tf().linalg.matmul(tf().cast(weights, v_BGSK.dtype), v_BGSK[:, :, None])
    y_BHTK = tf().reshape(y_BGNTK, (batch, heads, tokens, dim))
    return tf().reshape(tf().transpose(y_BHTK, (0, 2, 1, 3)), (batch, tokens, heads * dim))
