"""The decoder of Llama's family, of the oracle's operators: fp64 truth, or honest at a precision.

Written apart from the reference model, in NumPy; each is tested against the other. Memory: the
logits once, beside them activations, one block of queries' scores and one of an upcast weight, so
rows may be long, and weights may be mapped from a file, of any type and larger than memory: each is
read once for all tokens that are asked, layer after layer, some rows at a time.

Shape letters: B batch, T tokens, S keys, D model, H heads, G key/value heads, K head dim, F
feed-forward, V vocabulary, R rotated pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance import precision
from conformance.errors import PackageError
from conformance.oracles import mixture
from conformance.oracles.arithmetic import FP64, Arithmetic
from conformance.oracles.operators import (
    activations,
    attention,
    attention_variants,
    linear,
    norms,
    rotary,
    routing,
    softmax,
)
from conformance.oracles.pieces import BLOCK, ROWS, blocks, capped, seen_keys
from conformance.oracles.rope import rope_frequencies
from conformance.oracles.shapes import QKV, weight_shapes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from conformance.oracles.architecture import Architecture
    from conformance.oracles.rope import Rope

    Array = NDArray[Any]
    Ints = NDArray[np.int64]


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
        for x_BTD in self.layers(input_ids_BT, attention_mask_BT, position_ids_BT):
            last_BTD = x_BTD
        return self.head(last_BTD)

    def logits_at(
        self,
        input_ids_BT: Ints,
        attention_mask_BT: Ints,
        position_ids_BT: Ints,
        places_N: Ints,
    ) -> Array:
        """Return the logits (B, N, V) of some tokens alone, in ascending order of their places.

        The last layer computes the queries of these alone: with one layer the work grows with the
        length of a row, and not with its square.
        """
        for x_BTD in self.layers(input_ids_BT, attention_mask_BT, position_ids_BT, places_N):
            last_BND = x_BTD
        return self.head(last_BND)

    def outputs(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> tuple[Array, dict[str, Array]]:
        """Return the logits and the hidden states of one pass."""
        taps = self.hidden_states(input_ids_BT, attention_mask_BT, position_ids_BT)
        return self.head(taps[f"layer.{len(taps) - 1}"]), taps

    def head(self, x_BTD: Array) -> Array:
        """Return the logits (B, T, V) of the residual stream after the last layer (B, T, D)."""
        x_BTD = self._norm("model.norm", x_BTD)
        head = self._matrix("model.embed_tokens" if self.architecture.tied else "lm_head")
        logits_BTV = np.empty(
            (*x_BTD.shape[:2], len(head)), precision.dtype(self.arithmetic.output)
        )
        for rows in blocks(len(head), x_BTD.shape[-1] + x_BTD[..., 0].size, BLOCK):
            part = self._product(x_BTD, head[rows])
            part = capped(part, self.architecture.logit_cap)
            with np.errstate(over="ignore"):
                logits_BTV[..., rows] = self.arithmetic.store(part)
        return logits_BTV

    def hidden_states(
        self, input_ids_BT: Ints, attention_mask_BT: Ints, position_ids_BT: Ints
    ) -> dict[str, Array]:
        """Return the residual stream (B, T, D) after each layer, as ``layer.<i>``."""
        _, *taps = self.layers(input_ids_BT, attention_mask_BT, position_ids_BT)
        return {f"layer.{i}": tap for i, tap in enumerate(taps)}

    def layers(
        self,
        ids_BT: Ints,
        mask_BT: Ints,
        position_ids_BT: Ints,
        places_N: Ints | None = None,
    ) -> Iterator[Array]:
        """Yield the embedded tokens, then the residual stream after each layer, each (B, T, D).

        After the last layer it is that of some places alone, (B, N, D), where any are named.
        What follows is computed when it is asked for: decoders of the same weights that are asked
        in turn read each layer while it is still in memory.
        """
        # No name for the whole embedding: its pages would stay mapped while a layer is awaited.
        found_BTD = linear.embedding(self._matrix("model.embed_tokens"), ids_BT)
        x_BTD = self.arithmetic.store(self.arithmetic.load(found_BTD))
        if self.architecture.embedding_factor != 1:
            factor = self.arithmetic.load(np.asarray(self.architecture.embedding_factor))
            x_BTD = self.arithmetic.store(x_BTD * factor)
        if self.architecture.learned:
            x_BTD = self.arithmetic.store(x_BTD + self._position(position_ids_BT))
        if self.architecture.embedding_norm:
            x_BTD = self._norm("model.embed_norm", x_BTD)
        ropes = [self.architecture.rope_of(i) for i in range(self.architecture.layers)]
        rotations = {
            rope: None if rope is None else self._rotation(rope, position_ids_BT)
            for rope in dict.fromkeys(ropes)
        }
        yield x_BTD
        every_T = np.arange(ids_BT.shape[1])
        for i in range(self.architecture.layers):
            inner = i < self.architecture.layers - 1
            asked_T = every_T if inner or places_N is None else places_N
            prefix = f"model.layers.{i}."
            normed = self._norm(f"{prefix}input_layernorm", x_BTD)
            window = self.architecture.window(i)
            turned, attend = rotations[ropes[i]], f"{prefix}self_attn."
            attended = self._attention(attend, normed, asked_T, mask_BT, turned, window)
            before, behind = "post_attention_layernorm", None
            if self.architecture.sandwich:
                before, behind = "pre_feedforward_layernorm", "post_feedforward_layernorm"
                attended = self._norm(f"{prefix}post_attention_layernorm", attended)
            x_BTD = self.arithmetic.store(x_BTD[:, asked_T] + attended)
            normed = self._norm(f"{prefix}{before}", x_BTD)
            added = self._feed_forward(i, normed, mask_BT[:, asked_T])
            if behind is not None:
                added = self._norm(f"{prefix}{behind}", added)
            x_BTD = self.arithmetic.store(x_BTD + added)
            yield x_BTD

    def _matrix(self, name: str) -> Array:
        return self.weights[f"{name}.weight"]

    def _linear(self, name: str, x: Array) -> Array:
        y = self._product(x, self._matrix(name))
        some = self.architecture.biased and name.endswith(QKV)
        if some or self.architecture.all_biased:
            y += self.arithmetic.load(self.weights[f"{name}.bias"])
        return self.arithmetic.store(y)

    def _product(self, x: Array, weight_OI: Array) -> Array:
        """Return x @ weight.T, (..., O), of as many of the weight's rows at a time as a block."""
        outputs, inputs = weight_OI.shape
        parts = [*blocks(outputs, inputs, ROWS)]
        if len(parts) == 1:
            return self.arithmetic.matmul(x, self.arithmetic.load(weight_OI[parts[0]]).T)
        y_NO = np.empty((x[..., 0].size, outputs), x.dtype)
        x_NI = x.reshape(len(y_NO), -1)
        for rows in parts:
            y_NO[:, rows] = self.arithmetic.matmul(x_NI, self.arithmetic.load(weight_OI[rows]).T)
        return y_NO.reshape(*x.shape[:-1], -1)

    def _norm(self, name: str, x_BTD: Array) -> Array:
        weight = self.arithmetic.load(self._matrix(name))
        if self.architecture.centred:  # one function, which rounds at its end
            bias = self.arithmetic.load(self.weights[f"{name}.bias"])
            normed = norms.layer_norm(x_BTD, weight, bias, self.architecture.epsilon).y
            return self.arithmetic.store(normed)
        normed = norms.rms_normalize(x_BTD, self.architecture.epsilon)
        if self.architecture.scaled_wide:  # such norms round once, when they have scaled
            return self.arithmetic.store(normed * (self.architecture.norm_offset + weight))
        return self.arithmetic.store(self.arithmetic.between("norm", normed) * weight)

    def _mlp(self, prefix: str, x_BTD: Array) -> Array:
        a, activate = self.architecture, _ACTIVATIONS[self.architecture.activation]
        up = self._linear(f"{prefix}up_proj", x_BTD)
        if a.limit is not None:
            gate = self._linear(f"{prefix}gate_proj", x_BTD)
            units = self._clamped_units(gate, up, a.limit)
            return self._linear(f"{prefix}down_proj", self.arithmetic.store(units))
        if not self.architecture.gated:
            return self._linear(f"{prefix}down_proj", self.arithmetic.store(activate(up)))
        activated = activate(self._linear(f"{prefix}gate_proj", x_BTD))
        activated = self.arithmetic.between("mlp", activated)
        return self._linear(f"{prefix}down_proj", self.arithmetic.store(activated * up))

    def _clamped_units(self, gate: Array, up: Array, limit: float) -> Array:
        """Return SwiGLU with a limit; an unfused one rounds both of its factors."""
        a, way = self.architecture, self.arithmetic
        # The gate's own factor is what it would multiply 1 by.
        opened = activations.swiglu(gate, np.zeros_like(up), a.sharpness, limit, offset=1.0)
        passed = np.clip(up, -up.dtype.type(limit), up.dtype.type(limit))
        passed = passed + up.dtype.type(a.unit_offset)
        units: Array = way.between("mlp", opened) * way.between("mlp", passed)
        return units

    def _feed_forward(self, layer: int, x_BTD: Array, mask_BT: Ints) -> Array:
        prefix = f"model.layers.{layer}.mlp."
        if not self.architecture.is_mixture(layer):
            return self._mlp(prefix, x_BTD)
        y_BTD = self._mixture(prefix, x_BTD, mask_BT)
        if not self.architecture.shared_hidden:
            return y_BTD
        way, score_BT1 = self.arithmetic, self._linear(f"{prefix}shared_expert_gate", x_BTD)
        share_BT1 = way.between("mlp", activations.sigmoid(score_BT1))
        shared_BTD = share_BT1 * self._mlp(f"{prefix}shared_expert.", x_BTD)
        return way.store(y_BTD + way.between("mlp", shared_BTD))

    def _mixture(self, prefix: str, x_BTD: Array, mask_BT: Ints) -> Array:
        way, a = self.arithmetic, self.architecture
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        scores_NE = self._linear(f"{prefix}gate", x_ND)
        if way.compute == FP64.compute:
            mixture.check_decided(scores_NE[mask_BT.ravel() != 0], a.chosen)
        none_E = np.zeros(a.experts, scores_NE.dtype)
        alone = a.chosen_alone
        how = routing.Routing(a.chosen, not alone, renormalise=a.renormalised and not alone)
        weights_NC, chosen_NC = routing.route(scores_NE, none_E, how)

        def expert(e: int, x_MD: Array) -> Array:
            return self._mlp(f"{prefix}experts.{e}.", x_MD)

        y_ND = mixture.mix(x_ND, way.between("mlp", weights_NC), chosen_NC, expert)
        return way.store(y_ND).reshape(x_BTD.shape)

    def _position(self, position_ids_BT: Ints) -> Array:
        """Return the learned vectors of positions, (B, T, D)."""
        table = self._matrix("model.embed_positions")
        return self.arithmetic.load(linear.embedding(table, position_ids_BT))

    def _rotation(self, rope: Rope, position_ids_BT: Ints) -> tuple[Array, Array]:
        """Return cosine and sine of each pair's angle, (B, T, R), times the attention factor."""
        way = self.arithmetic
        beyond = int(position_ids_BT.max(initial=0)) + 1 > rope.original_positions
        size = self.architecture.head_dim
        each_R = rope_frequencies(rope, size, way.phase, way.frequencies, beyond=beyond)
        angle_BTR = position_ids_BT[..., None].astype(way.phase) * each_R
        factor = each_R.dtype.type(rope.attention_factor)
        cos, sin = ((factor * turn(angle_BTR)).astype(way.compute) for turn in (np.cos, np.sin))
        return way.between("rotation", cos), way.between("rotation", sin)

    def _attention(
        self,
        prefix: str,
        x_BSD: Array,
        asked_T: Ints,
        mask_BS: Ints,
        rotation: tuple[Array, Array] | None,
        window: int | None,
    ) -> Array:
        """Return what the queries of the places asked find, (B, T, D)."""
        q_BHTK = self._heads(f"{prefix}q_proj", x_BSD[:, asked_T])
        k_BGSK, v_BGSK = (self._heads(f"{prefix}{n}_proj", x_BSD) for n in "kv")
        if self.architecture.head_norms:
            q_BHTK = self._norm(f"{prefix}q_norm", q_BHTK)
            k_BGSK = self._norm(f"{prefix}k_norm", k_BGSK)
        if rotation is not None:
            own = (turn_BSR[:, asked_T] for turn_BSR in rotation)
            near = self.architecture.neighbours
            q_BHTK = self.arithmetic.store(rotary.rotary(q_BHTK, *own, interleaved=near))
            k_BGSK = self.arithmetic.store(rotary.rotary(k_BGSK, *rotation, interleaved=near))
        heads, sinks_H = self.architecture.heads, None
        if self.architecture.sinks:
            sinks_H = self.arithmetic.load(self.weights[f"{prefix}sinks"])
        k_BHSK, v_BHSK = (attention.repeat_heads(x, heads) for x in (k_BGSK, v_BGSK))
        y_BHTK, count_BS = np.empty_like(q_BHTK), np.cumsum(mask_BS != 0, axis=1)
        for rows in blocks(len(asked_T), k_BHSK[..., 0].size, BLOCK):
            # Of the keys behind a block of queries none is looked at, so that long rows cost half.
            end = int(asked_T[rows][-1]) + 1
            seen = seen_keys(mask_BS[:, :end], asked_T[rows], window)
            bias = None
            if self.architecture.linear_bias:  # by the visible keys between, those of the row
                bias = self._bias(count_BS[:, None, :end] - count_BS[:, asked_T[rows], None])
            y_BHTK[:, :, rows] = self._attend(
                q_BHTK[:, :, rows],
                k_BHSK[:, :, :end],
                v_BHSK[:, :, :end],
                seen[:, None],
                sinks_H,
                bias,
            )
        joined = y_BHTK.swapaxes(1, 2).reshape(len(x_BSD), len(asked_T), -1)
        return self._linear(f"{prefix}o_proj", self.arithmetic.store(joined))

    def _heads(self, name: str, x_BTD: Array) -> Array:
        y = self._linear(name, x_BTD)
        return y.reshape(*y.shape[:2], -1, self.architecture.head_dim).swapaxes(1, 2)

    def _bias(self, ahead_BTS: Ints) -> Array:
        """Return what is added to scores, (B, H, T, S): each head's slope times j - i."""
        slope_H = attention_variants.alibi_slopes(self.architecture.heads)
        bias: Array = slope_H.astype(self.arithmetic.compute)[:, None, None] * ahead_BTS[:, None]
        return bias.astype(self.arithmetic.compute)

    def _attend(
        self,
        q_BHTK: Array,
        k_BHSK: Array,
        v_BHSK: Array,
        allowed: Array,
        sinks_H: Array | None,
        bias_BHTS: Array | None = None,
    ) -> Array:
        scale = self.architecture.score_scale or q_BHTK.shape[-1] ** -0.5
        products = self.arithmetic.matmul(q_BHTK, k_BHSK.swapaxes(-1, -2))
        scores = capped(products * q_BHTK.dtype.type(scale), self.architecture.score_cap)
        scores = scores if bias_BHTS is None else scores + bias_BHTS
        scores = self.arithmetic.between("scores", scores)
        # The smallest finite score, not -inf: a padded token that sees no key spreads its
        # attention evenly, and no NaN can reach the real tokens through 0 * NaN.
        smallest = np.finfo(scores.dtype).min
        scores = attention.with_sinks(np.where(allowed, scores, smallest), sinks_H)
        weights = softmax.softmax(scores)[..., : k_BHSK.shape[2]]
        return self.arithmetic.matmul(self.arithmetic.between("weights", weights), v_BHSK)


_ACTIVATIONS = {
    "silu": activations.silu,
    "gelu_tanh": activations.gelu_tanh,
    "gelu": activations.gelu,
    "relu": activations.relu,
}
