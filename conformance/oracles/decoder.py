"""The Llama decoder composed of the oracle's operators: fp64 truth, or honest at a precision.

Written apart from the reference model, in NumPy; each is tested against the other. Memory: the
logits once, beside them activations, one block of queries' scores and one of an upcast weight, so
rows may be long, and weights may be mapped from a file and of any type.

Shape letters: B batch, T tokens, S keys, D model, H heads, G key/value heads, K head dim, F
feed-forward, V vocabulary, R rotated pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import PackageError
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.operators import activations, attention, linear, norms, rotary, softmax

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.oracles.architecture import Architecture, Rope

    Array = NDArray[Any]
    Ints = NDArray[np.int64]

_BLOCK = 1 << 22
"""Numbers of a temporary array that are computed at a time."""


@dataclass(frozen=True)
class Decoder:
    """A model that answers logits and taps.

    Args:
        architecture: its sizes and constants.
        weights: arrays by Hugging Face's names, of any float type.
        arithmetic: the types in which it computes.

    Raises:
        PackageError: a weight is missing or of another shape.
    """

    architecture: Architecture
    weights: Mapping[str, Array]
    arithmetic: Arithmetic = FP64

    def __post_init__(self) -> None:
        for name, shape in weight_shapes(self.architecture).items():
            if name not in self.weights:
                raise PackageError(f"weight {name!r} is missing; its shape would be {shape}")
            seen = self.weights[name].shape
            if seen != shape:
                raise PackageError(f"weight {name!r} has shape {seen}; the config asks for {shape}")

    def logits(self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints) -> Array:
        """Return the logits (B, T, V) in the output type; mask 1 attends."""
        *_, x_BTD = self._layers(input_ids_BT, attention_mask_BT, position_ids_BT)
        return self._head(x_BTD)

    def outputs(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> tuple[Array, dict[str, Array]]:
        """Return the logits and the hidden states of one pass."""
        _, *taps = self._layers(input_ids_BT, attention_mask_BT, position_ids_BT)
        return self._head(taps[-1]), {f"layer.{i}": tap for i, tap in enumerate(taps)}

    def _head(self, x_BTD: Array) -> Array:
        x_BTD = self._norm("model.norm.weight", x_BTD)
        head = self._matrix("model.embed_tokens" if self.architecture.tied else "lm_head")
        logits_BTV = np.empty(
            (*x_BTD.shape[:2], len(head)), precision.dtype(self.arithmetic.output)
        )
        for rows in _blocks(len(head), x_BTD.shape[-1] + x_BTD[..., 0].size):
            part = self.arithmetic.matmul(x_BTD, self.arithmetic.load(head[rows]).T)
            with np.errstate(over="ignore"):
                logits_BTV[..., rows] = self.arithmetic.store(part)
        return logits_BTV

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the residual stream (B, T, D) after each layer, as ``layer.<i>``."""
        _, *taps = self._layers(input_ids_BT, attention_mask_BT, position_ids_BT)
        return {f"layer.{i}": tap for i, tap in enumerate(taps)}

    def _layers(self, ids_BT: Ints, mask_BT: Ints, position_ids_BT: Ints) -> Iterator[Array]:
        """Yield the embedded tokens, then the residual stream after each layer."""
        embedding = self._matrix("model.embed_tokens")
        x_BTD = self.arithmetic.store(self.arithmetic.load(linear.embedding(embedding, ids_BT)))
        rotation = self._rotation(position_ids_BT)
        yield x_BTD
        for i in range(self.architecture.layers):
            prefix = f"model.layers.{i}."
            normed = self._norm(f"{prefix}input_layernorm.weight", x_BTD)
            attended = self._attention(f"{prefix}self_attn.", normed, mask_BT, rotation)
            x_BTD = self.arithmetic.store(x_BTD + attended)
            normed = self._norm(f"{prefix}post_attention_layernorm.weight", x_BTD)
            x_BTD = self.arithmetic.store(x_BTD + self._mlp(f"{prefix}mlp.", normed))
            yield x_BTD

    def _matrix(self, name: str) -> Array:
        return self.weights[f"{name}.weight"]

    def _linear(self, name: str, x: Array) -> Array:
        weight = self.arithmetic.load(self._matrix(name))
        return self.arithmetic.store(self.arithmetic.matmul(x, weight.T))

    def _norm(self, name: str, x_BTD: Array) -> Array:
        normed = norms.rms_normalize(x_BTD, self.architecture.epsilon)
        normed = self.arithmetic.between("norm", normed)
        return self.arithmetic.store(normed * self.arithmetic.load(self.weights[name]))

    def _mlp(self, prefix: str, x_BTD: Array) -> Array:
        gate, up = (
            self._linear(f"{prefix}gate_proj", x_BTD),
            self._linear(f"{prefix}up_proj", x_BTD),
        )
        activated = self.arithmetic.between("mlp", activations.silu(gate))
        return self._linear(f"{prefix}down_proj", self.arithmetic.store(activated * up))

    def _rotation(self, position_ids_BT: Ints) -> tuple[Array, Array]:
        """Return cosine and sine of each pair's angle, (B, T, R)."""
        way = self.arithmetic
        each_R = rope_frequencies(
            self.architecture.rope, self.architecture.head_dim, way.phase, way.frequencies
        )
        angle_BTR = position_ids_BT[..., None].astype(way.phase) * each_R
        cos, sin = (turn(angle_BTR).astype(way.compute) for turn in (np.cos, np.sin))
        return way.between("rotation", cos), way.between("rotation", sin)

    def _attention(
        self, prefix: str, x_BTD: Array, mask_BS: Ints, rotation: tuple[Array, Array]
    ) -> Array:
        q_BHTK, k_BGSK, v_BGSK = (self._heads(f"{prefix}{n}_proj", x_BTD) for n in "qkv")
        q_BHTK, k_BGSK = (
            self.arithmetic.store(rotary.rotary(x, *rotation)) for x in (q_BHTK, k_BGSK)
        )
        heads = self.architecture.heads
        k_BHSK, v_BHSK = (attention.repeat_heads(x, heads) for x in (k_BGSK, v_BGSK))
        y_BHTK = np.empty_like(q_BHTK)
        for rows in _blocks(q_BHTK.shape[2], q_BHTK[..., 0].size):
            # Every token sees itself and what stands before it in the row, whatever its position:
            # of the keys behind a block of queries none is looked at, so that long rows cost half.
            first, end, _ = rows.indices(q_BHTK.shape[2])
            seen = attention.causal_mask(end - first, end, first) & (mask_BS[:, None, :end] != 0)
            y_BHTK[:, :, rows] = self._attend(
                q_BHTK[:, :, rows], k_BHSK[:, :, :end], v_BHSK[:, :, :end], seen[:, None]
            )
        joined = y_BHTK.swapaxes(1, 2).reshape(*x_BTD.shape[:2], -1)
        return self._linear(f"{prefix}o_proj", self.arithmetic.store(joined))

    def _heads(self, name: str, x_BTD: Array) -> Array:
        y = self._linear(name, x_BTD)
        return y.reshape(*y.shape[:2], -1, self.architecture.head_dim).swapaxes(1, 2)

    def _attend(self, q_BHTK: Array, k_BHSK: Array, v_BHSK: Array, allowed: Array) -> Array:
        scale = q_BHTK.dtype.type(q_BHTK.shape[-1] ** -0.5)
        products = self.arithmetic.matmul(q_BHTK, k_BHSK.swapaxes(-1, -2))
        scores = self.arithmetic.between("scores", products * scale)
        # The smallest finite score, not -inf: a padded token that sees no key spreads its
        # attention evenly, and no NaN can reach the real tokens through 0 * NaN.
        smallest = np.finfo(scores.dtype).min
        weights = softmax.softmax(np.where(allowed, scores, smallest))
        return self.arithmetic.matmul(self.arithmetic.between("weights", weights), v_BHSK)


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the shape of every weight that a decoder needs, by Hugging Face's names."""
    a = architecture
    queries, keys = a.heads * a.head_dim, a.kv_heads * a.head_dim
    layer = {
        "input_layernorm": (a.dim,),
        "self_attn.q_proj": (queries, a.dim),
        "self_attn.k_proj": (keys, a.dim),
        "self_attn.v_proj": (keys, a.dim),
        "self_attn.o_proj": (a.dim, queries),
        "post_attention_layernorm": (a.dim,),
        "mlp.gate_proj": (a.hidden, a.dim),
        "mlp.up_proj": (a.hidden, a.dim),
        "mlp.down_proj": (a.dim, a.hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (a.vocab, a.dim)}
    for i in range(a.layers):
        shapes |= {f"model.layers.{i}.{name}.weight": shape for name, shape in layer.items()}
    shapes["model.norm.weight"] = (a.dim,)
    if not a.tied:
        shapes["lm_head.weight"] = (a.vocab, a.dim)
    return shapes


def rope_frequencies(
    rope: Rope, head_dim: int, dtype: str = "float64", form: str = "power"
) -> Array:
    """Return the rotation per position of each pair after scaling, (R,)."""
    plain = rotary.frequencies(rope.theta, head_dim, dtype, form)
    if rope.kind == "llama3":
        return rotary.llama3_frequencies(
            plain, rope.factor, rope.low, rope.high, rope.original_positions
        )
    scaled: Array = plain / plain.dtype.type(rope.factor)
    return scaled


def _blocks(length: int, width: int) -> Iterator[slice]:
    """Yield slices of ``length`` so that ``width`` numbers for each stay within a block."""
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, length, step):
        yield slice(start, start + step)
